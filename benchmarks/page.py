"""A part of a page of the docs that is made from results."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, text: str, begin: str, end: str) -> None:
    """Put `text`, which has both marks itself, where the page has what is between them.

    Raises   ValueError  if the page has no such marks
    """
    before, found, rest = page.read_text().partition(begin)
    _, also, after = rest.partition(end)
    if not (found and also):
        raise ValueError(f"{page.name} has no lines {begin} and {end}")
    page.write_text(before + text + after)
