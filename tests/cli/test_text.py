"""How params are written down for people, shells and programs."""

from __future__ import annotations

import math
import re
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpbo.cli.text import (
    as_assignments,
    as_table,
    variable_names,
)
from gpbo.errors import SpaceError
from gpbo.text import first_line, last_line, one_line, word

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "0.00001"),
        (-3.2e-7, "-0.00000032"),
        (0.1, "0.1"),
        (10.0, "10.0"),
        (0.0, "0.0"),
        (1e20, "100000000000000000000"),
        (1e-300, "1e-300"),
        (1e300, "1e+300"),
        (3, "3"),
        (2**53, "9007199254740992"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("true", "true"),
        ("a b", "a b"),
        ("", ""),
    ],
)
def test_a_value_is_one_word(value: object, text: str) -> None:
    assert word(value) == text  # type: ignore[arg-type]


@given(FLOATS)
def test_a_float_comes_back_bit_for_bit(x: float) -> None:
    back = float(word(x))
    assert back == x
    assert math.copysign(1, back) == math.copysign(1, x)


@given(st.text())
def test_one_line_is_printable(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert text != shown or text.isprintable()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (None, "", ""),
        ("", "", ""),
        ("\n \n", "", ""),
        ("one", "one", "one"),
        ("\n one \n\n two\t\n \n", "one", "two"),
        ("\x1b[31mred", "\\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_the_lines_of_an_error_that_are_shown(text: str | None, first: str, last: str) -> None:
    assert (first_line(text), last_line(text)) == (first, last)


def test_a_table_aligns_its_values() -> None:
    assert as_table({"a": 1, "long": "x"}) == "  a     1\n  long  x"
    assert as_table({}) == ""


@given(st.lists(st.text(min_size=1), unique=True))
def test_variables_are_what_a_shell_can_have_or_refused(names: list[str]) -> None:
    usual = [re.sub("[^A-Za-z0-9_]", "_", name) for name in names]
    usual = [f"_{name}" if name[0] in "0123456789" else name for name in usual]
    if len(set(usual)) < len(names):
        with pytest.raises(SpaceError, match="become the same variable"):
            variable_names(names)
        return
    variables = variable_names(names)
    assert list(variables) == names
    assert len(set(variables.values())) == len(names)
    for variable in variables.values():
        assert variable.isascii()
        assert variable.isidentifier()


NUL_FREE = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))


@settings(max_examples=25, deadline=None)
@given(NUL_FREE)
def test_a_shell_reads_any_text_back_as_it_is(text: str) -> None:
    line = as_assignments({"a": text, "b": 1}, ["a", "b", "c"])
    script = f'c=old; {line}; printf \'%s|%s|%s|\' "$a" "$b" "$c"'
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == f"{text}|1||"
    assert shlex.split(line)[0] == f"a={text}"
