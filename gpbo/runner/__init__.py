"""The loop around an objective: minimize and maximize."""

from gpbo.runner.loop import Limits, Result, maximize, minimize, run

__all__ = ["Limits", "Result", "maximize", "minimize", "run"]
