"""Space files, and how the study that is meant is found."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import gpbo as package
from gpbo.cli.study import names_of, read_space
from gpbo.errors import SpaceError
from tests.cli.conftest import Gpbo

LINE = {"x": package.Float(0, 1)}


def test_a_space_file_is_what_to_json_writes(folder: Path, rich_space: package.Space) -> None:
    file = folder / "rich.json"
    file.write_text(rich_space.to_json(), encoding="utf-8")
    assert read_space(str(file)) == rich_space
    file.write_text(rich_space.to_json(), encoding="utf-8-sig")  # as some editors save it
    assert read_space(str(file)) == rich_space


def test_names_are_those_of_all_branches_and_constants(rich_space: package.Space) -> None:
    assert names_of(rich_space) == [
        "lr", "dropout", "layers", "width", "act", "nesterov", "batch", "opt", "momentum", "beta1",
        "decay", "wd", "epochs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ('{"x": [1, 2],}', "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "the space is empty"),
        ('{"x": 3}', "every entry is a constant"),
        ('{"x": [1, 2], "y": [1], "x": [3, 4]}', "the name 'x' appears twice"),
        ('{"x": {"type": "flaot", "low": 0, "high": 1}}', "Did you mean 'float'"),
        ('{"x": {"low": 0, "high": 1}}', "'x'"),
        ('{"x": {"type": "float", "low": 1, "high": 0}}', "swap them"),
        ('{"x": {"type": "float", "low": 0, "hihg": 1}}', "'x'"),
        ('{"x": {"type": ["float"], "low": 0}}', ""),
        ('{"x": {"type": "choice", "branches": {"a": 3}}}', ""),
        ('{"x": {"type": "choice", "branches": [["a", [1]]]}}', ""),
        ('{"x": {"type": "choice", "branches": {"a": {"y": [1, 2], "y": [3, 4]}}}}', "'y' appears"),
        ('{"x": {"type": "distribution", "name": "os.system"}}', "no such distribution"),
        ("[" * 100_000, ""),
        ("\udcff", ""),
    ],
)
def test_a_space_file_that_makes_no_sense_is_named_and_makes_no_study(
    text: str, message: str, gpbo: Gpbo, folder: Path
) -> None:
    (folder / "bad.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(SpaceError, match=r"^bad\.json: "):
        read_space("bad.json")
    said = gpbo("ask study.db --space bad.json --strategy random")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("gpbo: error: bad.json: ")
    assert message in said.err
    assert not (folder / "study.db").exists()


def test_a_header_that_is_damaged_in_sense_is_a_corrupt_file(gpbo: Gpbo) -> None:
    from gpbo.storage import open_storage

    open_storage("study.db").create("default", {"format": 1, "id": "x", "strategy": "random"})
    for line in ("ask study.db", "best study.db", "tell study.db 0 1", "studies study.db"):
        said = gpbo(line)
        assert said.code == 1
        assert "the header of study 'default' makes no sense" in said.err


def test_a_url_names_the_same_file_as_its_path(study: Gpbo) -> None:
    assert study("best sqlite:///study.db --json").json["value"] == 0.5


def test_a_study_made_with_settings_goes_on_without_them_and_says_so(gpbo: Gpbo) -> None:
    package.Optimizer(LINE, strategy=package.Bayes(start=2), seed=0, storage="s.db").ask()
    said = gpbo("ask s.db")
    assert said.code == 0
    assert "was made with strategy=Bayes(" in said.err
    assert gpbo("ask s.db --strategy bayes").err == ""
    gpbo("tell s.db 0 0.5")
    assert "was made with strategy=Bayes(" in gpbo("best s.db --recommend").err


def test_a_study_that_needs_its_settings_says_which(gpbo: Gpbo) -> None:
    package.Optimizer(LINE, strategy=package.Grid(n=5), storage="s.db").ask()
    said = gpbo("ask s.db")
    assert said.code == 1
    assert "the study was made with strategy=Grid(n=5): give it again" in said.err
    assert gpbo("tell s.db 0 0.5").code == 0


def test_a_study_that_a_name_made_needs_no_settings(gpbo: Gpbo) -> None:
    assert gpbo("run s.db --space space.json -n 2 -- sh -c 'echo 0.5'").code == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert package.Optimizer.load("s.db").strategy.name == "bayes"


def test_a_number_may_be_a_text(gpbo: Gpbo) -> None:
    gpbo("ask s.db --space space.json --strategy random --study -5")
    assert gpbo("tell s.db 0 --failed --error -1 --study -5 --json").json["error"] == "-1"
    assert [study["study"] for study in gpbo("studies s.db --json").lines] == ["-5"]
