"""gpbo doctor: what it reports, and what it calls a problem."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gpbo as package
from gpbo.cli import doctor
from gpbo.cli.study import read_space
from tests.cli.conftest import Gpbo


def test_a_sound_installation_has_no_problem(gpbo: Gpbo) -> None:
    said = gpbo("doctor --json")
    assert (said.code, said.json["ok"], said.json["problems"]) == (0, True, [])
    assert set(said.json["versions"]) == {
        "gpbo", "python", "numpy", "scipy", "torch", "gpytorch", "rich", "sqlite"
    }  # fmt: skip
    assert all(said.json["versions"].values())
    assert said.json["devices"][0]["name"] == "cpu"
    assert said.json["library"]["cpu"]["compiled"] in (True, False)
    assert said.json["threads"]["cores"] >= said.json["threads"]["usable"] >= 1
    assert said.json["sqlite"]["journal"] in ("wal", "rollback")
    assert said.json["file"] is None


def test_for_people_each_part_has_its_line(study: Gpbo) -> None:
    out = study("doctor study.db").out
    titles = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert titles[:6] == ["versions", "library", "devices", "threads", "sqlite", "file"]
    assert "study 'default': sound, 1 trials, 2 events" in out
    assert out.rstrip().endswith("nothing needs to be mended")


def test_trials_that_wait_for_ever_are_a_note(study: Gpbo) -> None:
    study("ask study.db -n 2")
    said = study("doctor study.db --json")
    assert said.code == 0
    assert any("2 trials wait for their tell" in note for note in said.json["notes"])
    assert "note      study 'default': 2 trials wait" in study("doctor study.db").out


def test_trials_of_processes_elsewhere_are_a_note(
    study: Gpbo, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"host": "elsewhere", "pid": 1, "started": "1"}
    monkeypatch.setattr("gpbo.optimizer.this_worker", lambda: elsewhere)
    opt = package.Optimizer(read_space("space.json"), storage="study.db", strategy="random")
    opt.ask()
    notes = study("doctor study.db --json").json["notes"]
    assert any("1 trials belong to processes on other machines" in note for note in notes)


def test_what_imports_print_does_not_spoil_the_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module = importlib.import_module

    def loud(name: str) -> Any:
        print("a warning of", name)
        return import_module(name)

    monkeypatch.setattr(doctor.importlib, "import_module", loud)
    assert doctor._import_torch(doctor.Findings()) is not None
    assert capsys.readouterr().out == ""


def test_reference_code_that_is_forced_is_a_note(
    gpbo: Gpbo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBO_REFERENCE", "1")
    said = gpbo("doctor --json")
    assert said.code == 0
    assert "GPBO_REFERENCE is set: compiled code is not used" in said.json["notes"]


def test_every_gpu_is_listed_with_its_memory(gpbo: Gpbo, monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="Some GPU", total_memory=80 * 2**30)
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_properties=lambda k: card
    )
    found = doctor.Findings()
    devices = doctor._devices(SimpleNamespace(cuda=cuda), found)
    assert [device["name"] for device in devices] == ["cpu", "cuda:0", "cuda:1"]
    assert doctor._device_line(devices[2]) == "cuda:1: Some GPU, 80 GiB"
    assert not found.notes


def test_a_library_that_cannot_be_used_is_a_problem(
    gpbo: Gpbo, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"compiled": False, "path": "/x.so", "note": "cannot be used: interface version 0"}
    none = {"compiled": False, "path": None, "note": "torch sees no GPU"}
    state = {"forced_reference": False, "cpu": bad, "cuda": none}
    monkeypatch.setattr("gpbo.ops.library.describe", lambda: state)
    said = gpbo("doctor --json")
    (problem,) = said.json["problems"]
    assert (said.code, problem["do"]) == (1, "reinstall gpbo")
    assert "the compiled cpu library cannot be used: interface version 0" in problem["what"]


def test_a_torch_that_cannot_be_imported_is_a_problem_and_the_rest_is_shown(
    gpbo: Gpbo, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor.importlib.import_module

    def broken(name: str, *rest: Any) -> Any:
        if name == "torch":
            raise OSError("libtorch.so: cannot open shared object file")
        return real(name, *rest)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    said = gpbo("doctor")
    assert said.code == 1
    assert "PROBLEM   the model cannot be loaded: OSError: libtorch.so" in said.out
    assert "-> reinstall torch and gpytorch" in said.out
    assert "threads" in said.out


def test_a_package_that_is_missing_is_a_problem(
    gpbo: Gpbo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    said = gpbo("doctor --json")
    assert said.code == 1
    assert said.json["versions"]["no-such-package"] is None
    assert said.json["problems"] == [
        {"what": "no-such-package is not installed", "do": "pip install no-such-package"}
    ]


def test_a_changed_byte_is_found_and_the_other_study_is_called_sound(
    study: Gpbo, folder: Path
) -> None:
    study("ask study.db --study other --space space.json --strategy random")
    db = sqlite3.connect(folder / "study.db")
    with db:
        changed = db.execute(
            "UPDATE events SET body = replace(body, '0.5', '0.4') WHERE body LIKE '%complete%'"
        )
        assert changed.rowcount == 1
    db.close()
    said = study("doctor study.db --json")
    assert said.code == 1
    damaged, sound = said.json["file"]["studies"]
    assert (damaged["study"], damaged["ok"]) == ("default", False)
    assert (sound["study"], sound["ok"], sound["trials"]) == ("other", True, 1)
    (problem,) = said.json["problems"]
    assert "fails its checksum" in problem["what"]
    assert "backup" in problem["do"]
    text = study("doctor study.db").out
    assert "study 'default': damaged" in text
    assert "PROBLEM" in text
    assert study("best study.db").code == 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("none.db", "none.db: there is no such study file"),
        ("space.json", "not a gpbo study file"),
        (".", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_opened_is_a_problem(file: str, message: str, gpbo: Gpbo) -> None:
    said = gpbo("doctor", file, "--json")
    assert said.code == 1
    assert message in said.json["problems"][0]["what"]
    assert said.json["problems"][0]["do"]
    assert not Path("none.db").exists()


@pytest.mark.parametrize(("version", "journal"), [((3, 40, 1), "rollback"), ((3, 51, 3), "wal")])
def test_the_journal_mode_comes_with_its_reason(
    version: tuple[int, ...], journal: str, gpbo: Gpbo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["sqlite3"], "sqlite_version_info", version)
    sqlite = gpbo("doctor --json").json["sqlite"]
    assert sqlite["journal"] == journal
    assert "SQLite 3.51.3" in sqlite["why"]
