"""The ask/tell interface: what to try next, and what came of it."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast, overload

from gpbo import settle
from gpbo.check import flag, one_of, whole
from gpbo.dispatch import hand_out
from gpbo.errors import (
    GpboWarning,
    SpaceExhaustedWarning,
    UnknownTrialError,
    explain,
    hint_keywords,
    shorten,
    warn,
)
from gpbo.history import Direction, Event, History
from gpbo.journal import DEFAULT, Journal, find_study, load_journal, open_journal
from gpbo.observation import Told, ended, read_failure, read_noise, read_result, read_rows
from gpbo.options import Options
from gpbo.seeding import check_seed
from gpbo.space import Params, Space
from gpbo.storage import open_existing, open_storage
from gpbo.strategy import Strategy
from gpbo.trial import STATES, State, Trial
from gpbo.worker import is_gone, this_worker

log = logging.getLogger("gpbo")

MAX_ASK = 4096


class Optimizer:
    """Proposes params with `ask`, learns from `tell`, and keeps every trial in a storage.

    space       a Space, or a dict that makes one
    direction   "minimize" or "maximize"
    strategy    "bayes", "trust_region", "tpe", "random", "grid", "sobol", or a Strategy object with
                its settings; None: the study's own, and "bayes" for a new one
    seed        a whole number in [0, 2**63); None draws one, which the study keeps
    storage     None for memory, a path or sqlite:/// URL for a file, or a Storage
    study       the name of the study in the storage; an existing one is resumed
    device      "auto", "cpu", "cuda" or "cuda:N", for strategies with a model
    resume      False refuses a study that exists
    on_nan      "fail" records nan as a failed trial, "raise" refuses it
    keep_trials False: a trial that this process asked and did not tell is handed out again once the
                process has ended. True: it waits for its tell, for example from a cluster job
    budget      how many trials the study shall have in all: a small one starts on fewer points, and
                once there are as many, ask gives no new ones; None: no end

    Raises   SpaceError, StudyError, StorageError, DeviceError, TypeError, ValueError
    """

    @hint_keywords
    def __init__(
        self,
        space: Space | Mapping[str, Any],
        direction: Direction = "minimize",
        strategy: str | Strategy | None = None,
        seed: int | None = None,
        storage: Any = None,
        study: str = DEFAULT,
        device: str = "auto",
        resume: bool = True,
        on_nan: str = "fail",
        keep_trials: bool = False,
        budget: int | None = None,
    ) -> None:
        space = space if isinstance(space, Space) else Space(space)
        one_of("direction", direction, ("minimize", "maximize"))
        check_seed(seed)
        flag("resume", resume)
        if not isinstance(study, str) or not study:
            raise TypeError(explain("study", "not a name", study, expected="a non-empty str"))
        options = Options(strategy, device, on_nan, keep_trials, budget)
        if strategy is not None:
            options.strategy_for({}).check(space)  # before a file is made
        store = open_storage(storage)
        made_with = shorten(strategy) if isinstance(strategy, Strategy) else None
        strategy = options.strategy_on(store.header(study) or {}, space)
        journal = open_journal(
            store,
            study,
            space,
            direction=direction,
            seed=seed,
            strategy=strategy.name,
            resume=resume,
            made_with=made_with,
        )
        self._begin(journal, strategy, options)
        if journal.resumed:
            counts = len(journal.history), len(journal.history.pending)
            log.warning(
                "study %r in %s: resumed with %d trials, %d pending, strategy %r",
                *(study, store.location, *counts, strategy.name),
            )

    @classmethod
    @hint_keywords
    def load(
        cls,
        storage: Any,
        study: str | None = None,
        strategy: str | Strategy | None = None,
        device: str = "auto",
        on_nan: str = "fail",
        keep_trials: bool = False,
        budget: int | None = None,
    ) -> Optimizer:
        """A study that exists, with the space, direction and seed that it keeps.

        study   its name; None: "default", else the only one that there is
        others  as in Optimizer

        A study that was made with a Strategy object wants it again. Without, one whose name makes
        a strategy too goes on with its usual settings, and a warning; another can be looked at and
        told, and does not ask.

        Raises   StorageError  if there is no such file, and none is made then
                 StudyError    if there is no such study, or there are several to choose from
                 SpaceError    if the strategy that is given does not suit the space
                 DeviceError, TypeError, ValueError
        """
        options = Options(strategy, device, on_nan, keep_trials, budget)
        store = open_existing(storage, "To start a study: gpbo.Optimizer(space, storage=...).")
        journal = load_journal(store, find_study(store, study))
        return cls.from_journal(journal, options)

    @classmethod
    def from_journal(cls, journal: Journal, options: Options) -> Optimizer:
        """As `load`, on a study that is open already; for tools.

        Raises   SpaceError  if the strategy that is given does not suit the space
        """
        self = cls.__new__(cls)
        own = options.strategy_to_look(journal.header, journal.history.space)
        self._begin(journal, own, options)
        return self

    def _begin(self, journal: Journal, strategy: Strategy, options: Options) -> None:
        self._journal, self._strategy = journal, strategy
        self._on_nan, self._budget = options.on_nan, options.budget
        self._keep_trials, self._token = options.keep_trials, secrets.token_hex(4)
        self._lock, self._pid = threading.RLock(), os.getpid()
        made_with = options.other_settings(journal.header, strategy)
        if made_with is not None:
            warn(
                f"study {self.study!r} was made with strategy={made_with}, and goes on with "
                f"{shorten(strategy)}: pass strategy= to keep its settings",
                GpboWarning,
            )

    def __reduce__(self) -> Any:
        raise TypeError(
            "an Optimizer does not pickle: open the study from its file in the other process"
        )

    def __repr__(self) -> str:
        history = self._journal.history
        return (
            f"Optimizer(study={self.study!r}, strategy={self._strategy.name!r}, "
            f"direction={self.direction!r}, seed={self.seed}, trials={len(history)}, "
            f"storage={self._journal.storage.location!r})"
        )

    # ask -------------------------------------------------------------------------------------

    # "| Any" lets `opt.ask().params` pass a type checker: None only comes at the end of a finite
    # study, for which few programs look.
    @overload
    def ask(self) -> Trial | Any: ...
    @overload
    def ask(self, n: int) -> list[Trial]: ...
    @hint_keywords
    def ask(self, n: int | None = None) -> Trial | list[Trial] | None:
        """The next trial, or n distinct ones chosen together; each is pending until it is told.

        Once a grid, a finite space or the budget is exhausted, `ask()` gives None and `ask(n)` what
        is left.

        Raises   TypeError, ValueError  if n is not a whole number in 1 .. 4096
                 StrategyError          if what the strategy proposes is no proposal
                 StudyError             if the study's strategy is not there (`load`)
                 StorageError           if it cannot be written: then nothing was handed out
        """
        wanted = 1 if n is None else whole("n", n, 1, MAX_ASK)
        with self._guard():
            trials = hand_out(
                self._journal,
                self._strategy,
                wanted,
                owner=self._owner(),
                budget=self._budget,
            )
        if n is None:
            return trials[0] if trials else None
        if 0 < len(trials) < wanted:
            warn(
                f"ask: {len(trials)} points are left, {wanted} were asked for",
                SpaceExhaustedWarning,
            )
        return trials

    # tell ------------------------------------------------------------------------------------

    @hint_keywords
    def tell(
        self,
        trial: Trial | int,
        value: Any = None,
        *,
        failed: bool = False,
        noise: Any = None,
        error: str | BaseException | None = None,
    ) -> bool:
        """Record what became of a trial; on disk when this returns.

        `value` is anything with one number in it; `noise` its standard deviation, if known. With
        `failed`, `error` may say why: a text or an exception. Returns False if the same was told
        before.

        Raises   UnknownTrialError  if the study has no such trial
                 TrialStateError    if something else was told before
                 ObservationError, TypeError  if the value is no result
                 StorageError       if it cannot be written: it is kept, and the next call writes it
        """
        number, sd = self._number(trial), read_noise(noise)
        event = self._told(value, failed, error).event(number, sd)
        with self._guard():
            return bool(self._journal.write(partial(settle.told, event=event), result=event))

    @hint_keywords
    def amend(
        self,
        trial: Trial | int,
        value: Any = None,
        *,
        failed: bool = False,
        noise: Any = None,
        error: str | BaseException | None = None,
    ) -> None:
        """Correct what was told of a trial; its time stays, and its noise unless given.

        Raises   UnknownTrialError  if the study has no such trial
                 TrialStateError    if it is pending
                 ObservationError, TypeError  if the value is no result
                 StorageError       if it cannot be written: nothing is kept, call it again
        """
        number, sd = self._number(trial), read_noise(noise)
        event = self._told(value, failed, error).event(number, sd, kind="amend")
        with self._guard():
            self._journal.write(partial(settle.amended, event=event))

    def release(self, trial: Trial | int) -> None:
        """Give up a pending trial unfinished: the next ask hands it out again.

        Raises   UnknownTrialError, TrialStateError  if it is not pending
        """
        number = self._number(trial)
        with self._guard():
            self._journal.write(partial(settle.released, number=number))

    def release_all(self) -> None:
        """Give up every pending trial that this Optimizer asked in this process, but for those that
        are kept (`keep_trials`): as where a loop is left early.

        Raises   StorageError  if it cannot be written
        """
        if not self._keep_trials:
            with self._guard():
                self._journal.write(partial(settle.all_released, owner=self._owner()))

    def _owner(self) -> dict[str, Any] | None:
        """Who evaluates what is asked, this Optimizer in this process; None: trials are kept."""
        return None if self._keep_trials else {**this_worker(), "optimizer": self._token}

    def _told(self, value: Any, failed: bool, error: str | BaseException | None) -> Told:
        """What a tell says, checked."""
        if flag("failed", failed):
            return read_failure(value, error)
        if error is not None:
            raise TypeError(explain("tell", "an error without failed=True", error))
        return self._read(value)

    def _read(self, value: Any) -> Told:
        return read_result(value, self.direction, on_nan=self._on_nan)

    # points from elsewhere -------------------------------------------------------------------

    @hint_keywords
    def enqueue(
        self, params: Mapping[str, Any], *, clip: bool = False, again: bool = False
    ) -> bool:
        """Ask for these params next; names that are missing are sampled.

        A point that is known or waiting already is not enqueued (and False returned), so that a
        script may be run again, and one that becomes known while it waits is not asked; `again`
        evaluates it once more, for noisy objectives.

        Raises   ObservationError, TypeError  if a name is unknown or a value not allowed
                 TypeError     if clip or again is no bool
                 StorageError  if it cannot be written: nothing is kept
        """
        flag("clip", clip)
        flag("again", again)
        with self._guard():
            decide = partial(settle.enqueued, params=params, seed=self.seed, clip=clip, again=again)
            return bool(self._journal.write(decide))

    @overload
    def add(
        self, params: Mapping[str, Any], value: Any, *, noise: Any = ..., clip: bool = ...
    ) -> Trial: ...
    @overload
    def add(
        self,
        params: Sequence[Mapping[str, Any]] | Sequence[Trial],
        value: Collection[Any] | None = ...,
        *,
        noise: Any = ...,
        clip: bool = ...,
        errors: str = ...,
    ) -> list[Trial]: ...
    @hint_keywords
    def add(
        self,
        params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Sequence[Trial],
        value: Any = None,
        *,
        noise: Any = None,
        clip: bool = False,
        errors: str = "raise",
    ) -> Trial | list[Trial]:
        """Take a result from elsewhere, or a list of them with a list of values: all or none.

        A value may be all that an objective may return, {"status": "fail"} for a failed trial. The
        trials of another study need no values: those that ended are taken with theirs. With
        errors="skip" the rows of a list that do not fit are left out, with a warning.

        Raises   ObservationError, TypeError, ValueError  if it does not fit
                 BatchObservationError        naming the rows of a list that do not; none was added
                 StorageError                 if it cannot be written: nothing is kept
        """
        one_of("errors", errors, ("raise", "skip"))
        flag("clip", clip)

        def read(params: Mapping[str, Any], value: Any, noise: Any) -> Event:
            point = self.space.check(params, clip=clip)
            event = self._read(value).event(-1, read_noise(noise), kind="add")
            return {**event, "params": point}

        if isinstance(params, Mapping):
            rows = [read(params, value, noise)]
        else:
            if value is None:
                params, value = ended(params)
            rows = read_rows(read, params, value, noise, skip=errors == "skip")

        with self._guard():
            events = self._journal.write(partial(settle.added, rows=rows))
            numbers = [event["trial"] for event in events]
            trials = [self._journal.history.trials[number].copy() for number in numbers]
        return trials[0] if isinstance(params, Mapping) else trials

    # what there is ---------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """The search space."""
        return self._journal.history.space

    @property
    def direction(self) -> Direction:
        """ "minimize" or "maximize"."""
        return self._journal.history.direction

    @property
    def seed(self) -> int:
        """The seed of the study."""
        return self._journal.seed

    @property
    def study(self) -> str:
        """The name of the study."""
        return self._journal.study

    @property
    def strategy(self) -> Strategy:
        """Who proposes."""
        return self._strategy

    @property
    def size(self) -> int | None:
        """How many points the strategy proposes in all; None where there is no end of them."""
        return self._strategy.size(self.space)

    @property
    def trials(self) -> list[Trial]:
        """All trials in order of number, other processes' included."""
        with self._reading() as history:
            return [trial.copy() for trial in history.trials]

    @property
    def pending(self) -> list[Trial]:
        """The trials that were asked and not told."""
        with self._reading() as history:
            return [trial.copy() for trial in history.pending]

    def count(self, state: State) -> int:
        """How many trials are "pending", "complete" or "failed".

        Raises   ValueError  if it is another word
        """
        one_of("state", state, STATES)
        with self._reading() as history:
            return history.count(state)

    def trial(self, number: int) -> Trial:
        """The trial of this number, as it stands now.

        Raises   UnknownTrialError  if there is none
                 TypeError          if it is no whole number
        """
        number = whole("trial", number, -sys.maxsize)
        with self._reading() as history:
            return history.trial(number).copy()

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask, as at the end of a grid or a finite space."""
        with self._reading() as history:
            if any(is_gone(worker) for worker in history.owners.values()):
                return False
            if self._budget is not None and len(history) >= self._budget:
                return True
            return not history.queue and self._strategy.exhausted(history)

    @property
    def best(self) -> Trial:
        """The complete trial with the best value.

        Raises   NoResultsError  if nothing is complete
        """
        with self._reading() as history:
            return history.best.copy()

    @property
    def best_params(self) -> Params:
        """The params of `best`."""
        return self.best.params

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        return cast(float, self.best.value)

    def recommend(self) -> Params:
        """The params to use in the end: for "bayes" those with the best posterior mean, which on
        noisy data is not the luckiest draw.

        Raises   NoResultsError  if nothing is complete
                 StudyError      if the study's strategy is not there (`load`)
        """
        with self._reading() as history:
            return dict(self._strategy.recommend(history))

    # -----------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[History]:
        """The newest history, which no other thread changes meanwhile."""
        with self._guard():
            self._journal.sync()
            yield self._journal.history

    def _guard(self) -> threading.RLock:
        """The lock of this process; a forked child gets its own."""
        if os.getpid() != self._pid:
            self._lock, self._pid = threading.RLock(), os.getpid()
        return self._lock

    def _number(self, trial: Trial | int) -> int:
        history = self._journal.history
        if isinstance(trial, Trial):
            if trial.study_id != history.study_id:
                other = f"study {trial.study!r}"
                if trial.study == self.study:
                    other = "another study of that name"
                raise UnknownTrialError(
                    f"trial {trial.number} belongs to {other}, not to this study "
                    f"{self.study!r} in {self._journal.storage.location}"
                )
            return trial.number
        try:
            return whole("trial", trial, -sys.maxsize)
        except TypeError:
            raise TypeError(
                explain("trial", "not a trial", trial, expected="a Trial or its number")
            ) from None
