"""Every Python block in README and docs runs, and README figures are those of result files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{k}")
    for page in PAGES
    for k, block in enumerate(BLOCK.findall(page.read_text()))
]
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "block", "exec"), {"__name__": "block"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def demo_table() -> str:
    """The README's table as the demo's result file has it."""
    rows = json.loads((ROOT / "benchmarks/results/demo.json").read_text())["rows"]
    lines = ["| strategy | trials | validation error | test error |", "|---|---|---|---|"]
    lines += [
        f"| {row['strategy']} | {row['trials']} | {row['validation_error']:.2%} "
        f"| {row['test_error']:.2%} |"
        for row in rows
    ]
    return "\n".join(lines)


def test_the_readme_shows_the_demo_table_of_the_result_file() -> None:
    assert demo_table() in (ROOT / "README.md").read_text()


def test_the_readme_has_no_other_figures_than_those_of_result_files() -> None:
    text = (ROOT / "README.md").read_text().replace(demo_table(), "")
    assert not re.findall(r"\d+(?:\.\d+)?\s?(?:%|ms|times faster|x faster)", text)
