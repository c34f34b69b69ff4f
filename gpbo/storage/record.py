"""How a header or an event becomes text, and how damage to it is noticed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from gpbo.errors import explain

# ASCII, so that every str, half surrogates included, survives; repr of a float is exact.
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=True, separators=(",", ":"))


def encode(record: dict[str, Any], what: str) -> bytes:
    """A header or event as one line of JSON.

    Raises   TypeError   if it is not a dict, or holds what JSON does not know
             ValueError  if it holds nan or an infinity, or contains itself
    """
    if not isinstance(record, dict):
        raise TypeError(explain(what, "not a JSON object", record, expected="a dict"))
    try:
        return _ENCODER.encode(record).encode()
    except (TypeError, ValueError) as error:
        rule = "str, int, finite float, bool, None, and lists and dicts of them"
        text = explain(what, f"not JSON ({error})", record, expected=rule)
        raise type(error)(text) from None


def decode(bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    """The records that these texts were made from; all at once takes 3/4 of the time.

    Raises   ValueError  if one of them is not one JSON value
    """
    records: list[dict[str, Any]] = json.loads(b"[" + b",".join(bodies) + b"]")
    if len(records) != len(bodies):
        raise ValueError(f"{len(bodies)} records hold {len(records)} values")
    return records


def stem(study: str) -> int:
    """The checksum of a study's name, which the checksum of each of its records begins with."""
    return crc32(study.encode() + b"\0")


def checksum(stem: int, number: int, body: bytes) -> int:
    """The CRC32 of one record: whose it is, its number and its text."""
    return crc32(body, crc32(b"%d\0" % number, stem))
