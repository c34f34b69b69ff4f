"""Independent random generators named by (seed, purpose, number); there is no global generator."""

from __future__ import annotations

import secrets
import zlib

import numpy as np

from gpbo.check import whole

SEED_LIMIT = 2**63


def generator(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A generator that depends on its three arguments alone and on nothing that ran before.

    Two purposes, or two numbers, give independent streams (NumPy's SeedSequence spawn keys).
    """
    key = (zlib.crc32(purpose.encode()), number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def check_seed(seed: object) -> int:
    """A valid seed as an int; None draws one from the operating system.

    Raises   TypeError   if it is not a whole number
             ValueError  if it is not in [0, 2**63)
    """
    if seed is None:
        return secrets.randbelow(SEED_LIMIT)
    return whole("seed", seed, 0, SEED_LIMIT - 1, rule="0 <= seed < 2**63")
