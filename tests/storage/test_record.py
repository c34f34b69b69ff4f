"""Text of records, and its checksum."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbo.storage.record import checksum, decode, encode, stem

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())  # half surrogates too
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
RECORDS = st.dictionaries(st.text(), JSON, max_size=3)


@given(st.lists(RECORDS, max_size=3))
def test_decode_is_the_inverse_of_encode(records: list[dict]) -> None:
    texts = [encode(record, "event") for record in records]
    assert repr(decode(texts)) == repr(records)
    assert all(
        repr(decode([text])) == repr([record]) for text, record in zip(texts, records, strict=True)
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_keeps_every_bit(value: float) -> None:
    (back,) = decode([encode({"x": value}, "event")])
    assert struct.pack("<d", back["x"]) == struct.pack("<d", value)


@given(RECORDS)
def test_a_record_is_one_line_of_ascii(record: dict) -> None:
    assert all(32 <= byte < 127 for byte in encode(record, "event"))


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        (
            {"x": math.nan},
            ValueError,
            r"event: not JSON .*, got \{'x': nan\}; expected str, int, fin",
        ),
        ({"x": {1, 2}}, TypeError, r"event: not JSON \(Object of type set .*; expected str, int"),
        ([1], TypeError, r"event: not a JSON object, got \[1\]; expected a dict"),
    ],
)
def test_what_is_not_json_is_refused(record: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        encode(record, "event")  # type: ignore[arg-type]


@pytest.mark.parametrize("bodies", [[b""], [b"{}", b"{"], [b"{},{}"], [b"{}", b""], [b"\xff"]])
def test_what_was_not_encoded_here_is_refused(bodies: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(bodies)


@given(st.binary(min_size=1), st.integers(0, 2**40), st.integers(min_value=0))
def test_any_changed_bit_changes_the_checksum(body: bytes, number: int, at: int) -> None:
    bit = at % (8 * len(body))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    right = checksum(stem("a"), number, body)
    assert checksum(stem("a"), number, bytes(changed)) != right
    assert checksum(stem("a"), number + 1, body) != right
    assert checksum(stem("b"), number, body) != right
