"""The loop around an objective: minimize and maximize."""

from gpbo.runner.loop import Limits, maximize, minimize, run
from gpbo.runner.result import Result

__all__ = ["Limits", "Result", "maximize", "minimize", "run"]
