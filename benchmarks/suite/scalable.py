"""Test functions of any number of coordinates.

Symbols   x (n, d) -> (n,)
"""

from __future__ import annotations

import numpy as np

from benchmarks.suite.formulas import JAMIL, Array, Formula, make

PI = np.pi
# Lowest points of Michalewicz's terms, one after the other: each depends on its coordinate alone.
MICHALEWICZ = (
    2.20290552, 1.57079633, 1.28499157, 1.92305847, 1.72046977,
    1.57079633, 1.45441397, 1.75608652, 1.65571742, 1.57079633,
)  # fmt: skip
SCHWEFEL = 420.968746359982  # the lowest point of its term in [-500, 500]
STYBLINSKI = -2.903534027771177


def ackley(x: Array) -> Array:
    """A narrow funnel in a rippled plain."""
    funnel = -20 * np.exp(-0.2 * np.sqrt((x**2).mean(1)))
    return funnel - np.exp(np.cos(2 * PI * x).mean(1)) + 20 + np.e


def levy(x: Array) -> Array:
    """Many valleys in a bowl."""
    w = 1 + (x - 1) / 4
    middle = ((w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(PI * w[:, :-1] + 1) ** 2)).sum(1)
    last = (w[:, -1] - 1) ** 2 * (1 + np.sin(2 * PI * w[:, -1]) ** 2)
    return np.sin(PI * w[:, 0]) ** 2 + middle + last


def rastrigin(x: Array) -> Array:
    """A bowl with deep regular waves."""
    return (x**2 - 10 * np.cos(2 * PI * x) + 10).sum(1)


def rosenbrock(x: Array) -> Array:
    """A long bent ravine."""
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (x[:, :-1] - 1) ** 2).sum(1)


def michalewicz(x: Array) -> Array:
    """Narrow valleys between plains (m = 10)."""
    i = np.arange(1, x.shape[1] + 1)
    return -(np.sin(x) * np.sin(i * x**2 / PI) ** 20).sum(1)


def griewank(x: Array) -> Array:
    """A wide bowl with shallow waves."""
    i = np.arange(1, x.shape[1] + 1)
    return (x**2).sum(1) / 4000 - np.cos(x / np.sqrt(i)).prod(1) + 1


def styblinski_tang(x: Array) -> Array:
    """Two valleys in each coordinate."""
    return 0.5 * (x**4 - 16 * x**2 + 5 * x).sum(1)


def powell(x: Array) -> Array:
    """Flat at its lowest point: the second derivative is singular there; d = 4, 8, ..."""
    a, b, c, d = (x[:, k::4] for k in range(4))
    terms = (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4
    return terms.sum(1)


def dixon_price(x: Array) -> Array:
    """A ravine whose coordinates weigh more and more."""
    i = np.arange(2, x.shape[1] + 1)
    return (x[:, 0] - 1) ** 2 + (i * (2 * x[:, 1:] ** 2 - x[:, :-1]) ** 2).sum(1)


def schwefel(x: Array) -> Array:
    """Deep valleys far from each other, the lowest near a corner."""
    return (418.9828872724339 - x * np.sin(np.sqrt(np.abs(x)))).sum(1)


def zakharov(x: Array) -> Array:
    """A plate with one steep direction."""
    line = (0.5 * np.arange(1, x.shape[1] + 1) * x).sum(1)
    return (x**2).sum(1) + line**2 + line**4


def cosine(x: Array) -> Array:
    """A bowl with waves, the cosine mixture."""
    return (x**2).sum(1) - 0.1 * np.cos(5 * PI * x).sum(1)


def trid(x: Array) -> Array:
    """A bowl whose coordinates lean on their neighbors."""
    return ((x - 1) ** 2).sum(1) - (x[:, 1:] * x[:, :-1]).sum(1)


def ellipsoid(x: Array) -> Array:
    """A bowl 1000 times steeper in its last coordinate than in its first."""
    return (1000.0 ** np.linspace(0, 1, x.shape[1]) * x**2).sum(1)


def salomon(x: Array) -> Array:
    """Spheres around the lowest point."""
    r = np.sqrt((x**2).sum(1))
    return 1 - np.cos(2 * PI * r) + 0.1 * r


def alpine(x: Array) -> Array:
    """Kinks everywhere."""
    return np.abs(x * np.sin(x) + 0.1 * x).sum(1)


def sharp(x: Array) -> Array:
    """A hole in a plain, the exponential problem."""
    return -np.exp(-0.5 * (x**2).sum(1))


def scalable(name: str, d: int) -> Formula:
    """A function of this file in d dimensions."""
    i = np.arange(1, d + 1)
    zeros, ones, small = np.zeros(d), np.ones(d), {"source": JAMIL}
    inside = {"everywhere": False}
    made = {
        "ackley": lambda: make(name, (-32.768, 32.768), zeros, 0.0, ackley),
        "levy": lambda: make(name, (-10, 10), ones, 0.0, levy),
        "rastrigin": lambda: make(name, (-5.12, 5.12), zeros, 0.0, rastrigin),
        "rosenbrock": lambda: make(name, (-5, 10), ones, 0.0, rosenbrock),
        "michalewicz": lambda: _michalewicz(d),
        "griewank": lambda: make(name, (-600, 600), zeros, 0.0, griewank),
        "styblinski": lambda: make(
            name, (-5, 5), ones * STYBLINSKI, -39.16616570377142 * d, styblinski_tang
        ),
        "powell": lambda: make(name, (-4, 5), zeros, 0.0, powell),
        "dixonprice": lambda: make(name, (-10, 10), 2.0 ** (2.0 ** (1 - i) - 1), 0.0, dixon_price),
        "schwefel": lambda: make(name, (-500, 500), ones * SCHWEFEL, 0.0, schwefel, **inside),
        "zakharov": lambda: make(name, (-5, 10), zeros, 0.0, zakharov),
        "cosine": lambda: make(name, (-1, 1), zeros, -0.1 * d, cosine, **small),
        "trid": lambda: make(
            name, (-(d**2), d**2), i * (d + 1.0 - i), -d * (d + 4) * (d - 1) / 6, trid
        ),
        "ellipsoid": lambda: make(name, (-5.12, 5.12), zeros, 0.0, ellipsoid),
        "salomon": lambda: make(name, (-100, 100), zeros, 0.0, salomon, **small),
        "alpine": lambda: make(name, (-10, 10), zeros, 0.0, alpine, **small),
        "sharp": lambda: make(name, (-1, 1), zeros, -1.0, sharp, **small),
    }
    return made[name]()


def _michalewicz(d: int) -> Formula:
    at = np.array(MICHALEWICZ[:d])
    optimum = float(michalewicz(at[None])[0])
    return make("michalewicz", (0, PI), at, optimum, michalewicz, everywhere=False)
