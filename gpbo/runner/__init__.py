"""The loop around an objective: minimize and maximize."""

from gpbo.runner.loop import Result, maximize, minimize

__all__ = ["Result", "maximize", "minimize"]
