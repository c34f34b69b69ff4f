"""Opens what the command line names: the study file, the study in it, the space file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpbo.errors import (
    SpaceError,
    StorageCorruptError,
    StudyError,
    explain,
)
from gpbo.history import Direction
from gpbo.journal import DEFAULT, Journal, find_study, load_journal, open_journal
from gpbo.options import Options
from gpbo.space import Choice, Space
from gpbo.space.notation import from_dict, from_json
from gpbo.storage import Storage, is_there, open_existing, open_storage
from gpbo.storage.base import check_study


@dataclass(frozen=True)
class Setup:
    """What a study is opened with: as typed, else as the study keeps it, else as usual."""

    file: str
    study: str
    space: Space
    direction: Direction
    seed: int | None  # None: the study's own, or a fresh one
    options: Options
    strategy: str  # its name

    def open(self) -> Storage:
        """The storage; the file is made if there is none."""
        return open_storage(self.file)

    def journal(self) -> Journal:
        """The study's journal; file and study are made if they do not exist.

        Raises   StudyError  if it exists with another space, direction or seed
        """
        return open_journal(
            self.open(),
            self.study,
            self.space,
            direction=self.direction,
            seed=self.seed,
            strategy=self.strategy,
            resume=True,
        )


def set_up(args: argparse.Namespace, budget: int | None = None) -> Setup:
    """What `ask` and `run` work with, all of it checked, and nothing written.

    Raises   SpaceError, StudyError, StorageError, DeviceError
    """
    header: dict[str, Any] = {}
    if args.space is None:
        storage = open_file(args.file)
        study = _study_name(args, storage)
        header = _header(storage, study)
        space = _kept_space(storage, study, header)
    else:
        space = read_space(args.space)
        study = check_study(DEFAULT if args.study is None else args.study)
        if is_there(args.file):
            header = open_storage(args.file).header(study) or {}
    options = Options(args.strategy, args.device, budget=budget)
    strategy = options.strategy_on(header, space).name
    direction = args.direction or header.get("direction", "minimize")
    return Setup(args.file, study, space, direction, args.seed, options, strategy)


def open_file(file: str) -> Storage:
    """The storage in a file that exists.

    Raises   StorageUnavailableError  if it does not; nothing is made then
             StorageError             if it is no study file
    """
    return open_existing(file, "To start a study: gpbo ask or gpbo run with --space SPACE.json.")


def open_study(args: argparse.Namespace) -> Journal:
    """The journal of a study that exists.

    Raises   StorageError, StudyError
    """
    storage = open_file(args.file)
    return load_journal(storage, _study_name(args, storage))


def _study_name(args: argparse.Namespace, storage: Storage) -> str:
    return find_study(storage, args.study, "--study and one of them")


def _header(storage: Storage, study: str) -> dict[str, Any]:
    header = storage.header(study)
    if header is None:
        rule, fix = f"one of {storage.studies()}", "To make it, give --space SPACE.json."
        raise StudyError(explain(storage.location, "no such study", study, expected=rule, fix=fix))
    return header


def _kept_space(storage: Storage, study: str, header: dict[str, Any]) -> Space:
    try:
        return from_dict(header["space"])
    except (KeyError, TypeError, SpaceError) as error:
        raise StorageCorruptError(
            f"{storage.location}: the header of study {study!r} makes no sense: {error!r}"
        ) from error


# space files ---------------------------------------------------------------------------------


def read_space(file: str) -> Space:
    """The space in a JSON file.

    Raises   SpaceError  if it cannot be read or describes no space
    """
    try:
        return from_json(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpaceError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (SpaceError, UnicodeDecodeError) as error:
        raise SpaceError(f"{file}: {error}") from None


def names_of(space: Space) -> list[str]:
    """Every name that params of this space may have, constants and all branches included."""
    return list(dict.fromkeys(_walk(space)))


def _walk(space: Space) -> Iterator[str]:
    for name, parameter in space.items():
        yield name
        if isinstance(parameter, Choice):
            for _, inner in parameter.branches:
                yield from _walk(inner)
