"""Values and messages as people read them, on one line."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

DECIMALS = range(-15, 21)  # powers of ten that are written without an exponent


def word(value: Any) -> str:
    """A value as one word: text as it is, numbers in decimals, true, false and null as in JSON.

    Floats go without an exponent where they can: `bc` does not know it, and many programs take
    -1e-05 for an option. Reading the word as a float gives the value, bit for bit.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        exact = Decimal(repr(value))
        return format(exact, "f") if exact.adjusted() in DECIMALS else repr(value)
    return json.dumps(value)


def one_line(value: Any) -> str:
    """Text for a table or a message: anything that could move the cursor is escaped."""
    text = word(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def encodable(value: Any) -> str:
    """Text as it is, but for half surrogates, as in the name of a file that is no UTF-8."""
    return word(value).encode(errors="backslashreplace").decode()


def last_line(text: str | None) -> str:
    """The last line with something in it: of a traceback, the one that says what was wrong."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def first_line(text: str | None) -> str:
    """The first line with something in it."""
    return last_line(next(filter(str.strip, (text or "").splitlines()), ""))
