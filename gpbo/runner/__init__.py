"""The loop around an objective: minimize and maximize."""

from gpbo.runner.loop import maximize, minimize, run
from gpbo.runner.result import Result
from gpbo.runner.trials import Limits

__all__ = ["Limits", "Result", "maximize", "minimize", "run"]
