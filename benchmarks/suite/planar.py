"""Test functions of two coordinates.

Symbols   x, y (n,) the coordinates -> (n,)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.suite.formulas import JAMIL, Array, Formula, make

PI = np.pi


def branin(x: Array, y: Array) -> Array:
    """Three equally low points."""
    bowl = (y - 5.1 / (4 * PI**2) * x**2 + 5 / PI * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * PI)) * np.cos(x) + 10


def goldstein_price(x: Array, y: Array) -> Array:
    """Values over six decades."""
    first = 19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2
    second = 18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2
    return (1 + (x + y + 1) ** 2 * first) * (30 + (2 * x - 3 * y) ** 2 * second)


def six_hump(x: Array, y: Array) -> Array:
    """Six valleys, two of them the lowest."""
    return (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (-4 + 4 * y**2) * y**2


def three_hump(x: Array, y: Array) -> Array:
    """Three valleys."""
    return 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2


def beale(x: Array, y: Array) -> Array:
    """A plain with sharp peaks at its corners."""
    powers = ((1.5, 1), (2.25, 2), (2.625, 3))
    return sum(((c - x + x * y**k) ** 2 for c, k in powers), np.zeros_like(x))


def bukin(x: Array, y: Array) -> Array:
    """A bent ridge with a kink along its bottom."""
    return 100 * np.sqrt(np.abs(y - 0.01 * x**2)) + 0.01 * np.abs(x + 10)


def drop_wave(x: Array, y: Array) -> Array:
    """Rings around the lowest point."""
    r2 = x**2 + y**2
    return -(1 + np.cos(12 * np.sqrt(r2))) / (0.5 * r2 + 2)


def eggholder(x: Array, y: Array) -> Array:
    """Many deep holes, the lowest at an edge."""
    first = -(y + 47) * np.sin(np.sqrt(np.abs(y + x / 2 + 47)))
    return first - x * np.sin(np.sqrt(np.abs(x - (y + 47))))


def holder_table(x: Array, y: Array) -> Array:
    """Holes that deepen outward."""
    r = np.sqrt(x**2 + y**2)
    return -np.abs(np.sin(x) * np.cos(y) * np.exp(np.abs(1 - r / PI)))


def cross_in_tray(x: Array, y: Array) -> Array:
    """Four lowest points in an egg box with a cross."""
    wave = np.sin(x) * np.sin(y) * np.exp(np.abs(100 - np.sqrt(x**2 + y**2) / PI))
    return -0.0001 * (np.abs(wave) + 1) ** 0.1


def schaffer2(x: Array, y: Array) -> Array:
    """Rings that flatten outward."""
    return 0.5 + (np.sin(x**2 - y**2) ** 2 - 0.5) / (1 + 0.001 * (x**2 + y**2)) ** 2


def schaffer4(x: Array, y: Array) -> Array:
    """As schaffer2, the lowest points off the diagonal."""
    top = np.cos(np.sin(np.abs(x**2 - y**2))) ** 2 - 0.5
    return 0.5 + top / (1 + 0.001 * (x**2 + y**2)) ** 2


def mccormick(x: Array, y: Array) -> Array:
    """A smooth tilted valley."""
    return np.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1


def bohachevsky(x: Array, y: Array) -> Array:
    """A bowl with small waves."""
    return x**2 + 2 * y**2 - 0.3 * np.cos(3 * PI * x) - 0.4 * np.cos(4 * PI * y) + 0.7


def levy13(x: Array, y: Array) -> Array:
    """Many valleys in a bowl."""
    first = np.sin(3 * PI * x) ** 2 + (x - 1) ** 2 * (1 + np.sin(3 * PI * y) ** 2)
    return first + (y - 1) ** 2 * (1 + np.sin(2 * PI * y) ** 2)


def shubert(x: Array, y: Array) -> Array:
    """Eighteen lowest points among hundreds of low ones."""
    i = np.arange(1, 6)

    def wave(z: Array) -> Array:
        return (i * np.cos((i + 1) * z[:, None] + i)).sum(1)

    return wave(x) * wave(y)


def gramacy_lee(x: Array, y: Array) -> Array:
    """A plain with one hole and one hill in a corner."""
    return x * np.exp(-(x**2) - y**2)


def leon(x: Array, y: Array) -> Array:
    """A cubic ravine."""
    return 100 * (y - x**3) ** 2 + (1 - x) ** 2


def on_plane(function: Callable[[Array, Array], Array]) -> Callable[[Array], Array]:
    """The function of one array of points (n, 2)."""
    return lambda x: function(x[:, 0], x[:, 1])


def planar() -> list[Formula]:
    """All functions of this file, with box and lowest point."""
    small = {"source": JAMIL}
    inside = {"everywhere": False}
    return [
        make("branin", ([-5, 0], [10, 15]), [PI, 2.275], 0.397887357729738, on_plane(branin)),
        make("goldsteinprice", (-2, 2), [0, -1], 3.0, on_plane(goldstein_price)),
        make("camel6", ([-3, -2], [3, 2]), [0.0898420131, -0.7126564030], -1.0316284534898774,
             on_plane(six_hump)),
        make("camel3", (-5, 5), [0, 0], 0.0, on_plane(three_hump)),
        make("beale", (-4.5, 4.5), [3, 0.5], 0.0, on_plane(beale)),
        make("bukin", ([-15, -3], [-5, 3]), [-10, 1], 0.0, on_plane(bukin)),
        make("dropwave", (-5.12, 5.12), [0, 0], -1.0, on_plane(drop_wave)),
        make("eggholder", (-512, 512), [512, 404.231805123817], -959.640662720851,
             on_plane(eggholder), **inside),
        make("holdertable", (-10, 10), [8.055023472, 9.664590029], -19.20850256788675,
             on_plane(holder_table), **inside),
        make("crossintray", (-10, 10), [1.349406608602084] * 2, -2.062611870822739,
             on_plane(cross_in_tray)),
        make("schaffer2", (-100, 100), [0, 0], 0.0, on_plane(schaffer2)),
        make("schaffer4", (-100, 100), [0, 1.253131828792882], 0.292578632035980,
             on_plane(schaffer4)),
        make("mccormick", ([-1.5, -3], [4, 4]), [0.5 - PI / 3, -0.5 - PI / 3],
             -1.913222954981037, on_plane(mccormick), **inside),
        make("bohachevsky", (-100, 100), [0, 0], 0.0, on_plane(bohachevsky)),
        make("levy13", (-10, 10), [1, 1], 0.0, on_plane(levy13)),
        make("shubert", (-10, 10), [-7.083506405, 4.858056879], -186.7309088310240,
             on_plane(shubert)),
        make("gramacylee", (-2, 6), [-(0.5**0.5), 0], -(0.5**0.5) * np.exp(-0.5),
             on_plane(gramacy_lee)),
        make("leon", (-1.2, 1.2), [1, 1], 0.0, on_plane(leon), **small),
    ]  # fmt: skip
