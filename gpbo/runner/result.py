"""What a run found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from gpbo.errors import GpboError, NoResultsError
from gpbo.history import no_results
from gpbo.optimizer import Optimizer
from gpbo.space import Params
from gpbo.trial import Trial


@dataclass(frozen=True)
class Result:
    """What a run found, as it stood at its end.

    `stopped` says why it ended: "n_trials", "timeout", "exhausted" (no point is left), "callback",
    "interrupted" (Ctrl-C) or, in the result of an error, "failures". `optimizer` goes on with the
    study; a pickled Result is without it, and recommends what was to be recommended when it was
    pickled.
    """

    trials: list[Trial]
    direction: str
    stopped: str
    study: str
    optimizer: Optimizer | None
    _best: Trial | None
    _recommended: Params | None = None  # where there is no optimizer to ask

    @property
    def best(self) -> Trial:
        """The complete trial with the best value.

        Raises   NoResultsError  if nothing is complete
        """
        if self._best is None:
            raise NoResultsError(no_results(self.study, self.trials))
        return self._best

    @property
    def best_params(self) -> Params:
        """The params of `best`."""
        return self.best.params

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        return cast(float, self.best.value)

    def recommend(self) -> Params:
        """The params to use in the end; see `Optimizer.recommend`.

        Raises   NoResultsError  if nothing is complete
        """
        if self.optimizer is not None:
            return self.optimizer.recommend()
        return self.best_params if self._recommended is None else dict(self._recommended)

    def __getstate__(self) -> dict[str, Any]:
        recommended = None
        with suppress(GpboError):  # nothing is complete, or the study's file is gone
            recommended = self.recommend()
        return {**self.__dict__, "optimizer": None, "_recommended": recommended}

    def __repr__(self) -> str:
        found = "best_value=None"
        if self._best is not None:
            found = f"best_value={self.best_value!r}, best_params={self.best_params!r}"
        failed = sum(trial.state == "failed" for trial in self.trials)
        return (
            f"Result({found}, direction={self.direction!r}, trials={len(self.trials)}, "
            f"failed={failed}, stopped={self.stopped!r})"
        )
