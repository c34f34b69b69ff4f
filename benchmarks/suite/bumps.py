"""Test functions made of bumps whose places are tabulated.

Symbols   x (n, d) -> (n,)
"""

from __future__ import annotations

import numpy as np

from benchmarks.suite.formulas import Array, Formula, make

HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN3_WIDTHS = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
HARTMANN3_PLACES = 1e-4 * np.array(
    [[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]
)
HARTMANN6_WIDTHS = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
HARTMANN6_PLACES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
SHEKEL_WIDTHS = 0.1 * np.array([1, 2, 2, 4, 4, 6, 3, 7, 5, 5])
SHEKEL_PLACES = np.array(
    [
        [4, 1, 8, 6, 3, 2, 5, 8, 6, 7],
        [4, 1, 8, 6, 7, 9, 5, 1, 2, 3.6],
        [4, 1, 8, 6, 3, 2, 3, 8, 6, 7],
        [4, 1, 8, 6, 7, 9, 3, 1, 2, 3.6],
    ]
)
LANGERMANN_WEIGHTS = np.array([1, 2, 5, 2, 3])
LANGERMANN_PLACES = np.array([[3, 5], [5, 2], [2, 1], [1, 4], [7, 9]])


def hartmann3(x: Array) -> Array:
    """Four bumps in three coordinates."""
    r2 = (HARTMANN3_WIDTHS * (x[:, None] - HARTMANN3_PLACES) ** 2).sum(-1)
    return -np.exp(-r2) @ HARTMANN_WEIGHTS


def hartmann6(x: Array) -> Array:
    """Four bumps in six coordinates."""
    r2 = (HARTMANN6_WIDTHS * (x[:, None] - HARTMANN6_PLACES) ** 2).sum(-1)
    return -np.exp(-r2) @ HARTMANN_WEIGHTS


def shekel(x: Array) -> Array:
    """Ten holes in four coordinates."""
    r2 = ((x[:, :, None] - SHEKEL_PLACES) ** 2).sum(1)
    return -(1 / (r2 + SHEKEL_WIDTHS)).sum(1)


def langermann(x: Array) -> Array:
    """Rings around five places, interfering."""
    r2 = ((x[:, None] - LANGERMANN_PLACES) ** 2).sum(-1)
    return -(np.exp(-r2 / np.pi) * np.cos(np.pi * r2)) @ LANGERMANN_WEIGHTS


def colville(x: Array) -> Array:
    """Two ravines that lean on each other."""
    a, b, c, d = x.T
    first = 100 * (a**2 - b) ** 2 + (a - 1) ** 2 + (c - 1) ** 2 + 90 * (c**2 - d) ** 2
    return first + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2) + 19.8 * (b - 1) * (d - 1)


def bumps() -> list[Formula]:
    """All functions of this file, with box and lowest point."""
    return [
        make("hartmann3", (0, 1), [0.11458887375, 0.55564889561, 0.85254696527], -3.862779787332660,
             hartmann3),
        make("hartmann6", (0, 1),
             [0.20168951, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730053],
             -3.322368011415515, hartmann6),
        make("shekel", (0, 10), [4.000746533765, 4.000592935075, 3.999663396998, 3.999509800926],
             -10.536409816692046, shekel),
        make("langermann", (0, 10), [2.002992117983, 1.006095936166], -5.16212615996, langermann),
        make("colville", (-10, 10), [1, 1, 1, 1], 0.0, colville),
    ]  # fmt: skip
