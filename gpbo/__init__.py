"""gpbo: Bayesian optimization with ask and tell. Names are loaded when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpbo import errors as errors
    from gpbo.optimizer import Optimizer as Optimizer
    from gpbo.runner import Result as Result
    from gpbo.runner import maximize as maximize
    from gpbo.runner import minimize as minimize
    from gpbo.space import Bool as Bool
    from gpbo.space import Categorical as Categorical
    from gpbo.space import Choice as Choice
    from gpbo.space import Constant as Constant
    from gpbo.space import Distribution as Distribution
    from gpbo.space import Float as Float
    from gpbo.space import Int as Int
    from gpbo.space import Ordinal as Ordinal
    from gpbo.space import Space as Space
    from gpbo.storage.memory import MemoryStorage as MemoryStorage
    from gpbo.storage.sqlite import SqliteStorage as SqliteStorage
    from gpbo.strategy.base import Proposal as Proposal
    from gpbo.strategy.base import Strategy as Strategy
    from gpbo.strategy.bayes import Bayes as Bayes
    from gpbo.strategy.grid import Grid as Grid
    from gpbo.strategy.random import Random as Random
    from gpbo.strategy.sobol import Sobol as Sobol
    from gpbo.strategy.tpe import TPE as TPE
    from gpbo.strategy.trust_region import TrustRegion as TrustRegion
    from gpbo.trial import Trial as Trial

__version__ = "0.1.0"

_HOMES = {
    "gpbo.optimizer": ("Optimizer",),
    "gpbo.runner": ("Result", "maximize", "minimize"),
    "gpbo.space": (
        "Bool", "Categorical", "Choice", "Constant", "Distribution", "Float", "Int", "Ordinal",
        "Space",
    ),
    "gpbo.storage.memory": ("MemoryStorage",),
    "gpbo.storage.sqlite": ("SqliteStorage",),
    "gpbo.strategy.base": ("Proposal", "Strategy"),
    "gpbo.strategy.bayes": ("Bayes",),
    "gpbo.strategy.grid": ("Grid",),
    "gpbo.strategy.random": ("Random",),
    "gpbo.strategy.sobol": ("Sobol",),
    "gpbo.strategy.tpe": ("TPE",),
    "gpbo.strategy.trust_region": ("TrustRegion",),
    "gpbo.trial": ("Trial",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("errors", "testing")

__all__ = [*_HOME_OF, "errors"]  # written once, in _HOMES


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"gpbo.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gpbo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__, *_MODULES})
