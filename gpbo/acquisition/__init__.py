"""What is worth trying: values on a log scale for sets of points, larger is better."""

from gpbo.acquisition.analytic import LogExpectedImprovement, log_expected_improvement
from gpbo.acquisition.base import Acquisition, SumOfLogs
from gpbo.acquisition.feasible import LogFeasibility
from gpbo.acquisition.montecarlo import (
    ConditionalLogExpectedImprovement,
    QLogExpectedImprovement,
    normal_base_samples,
)

__all__ = [
    "Acquisition",
    "ConditionalLogExpectedImprovement",
    "LogExpectedImprovement",
    "LogFeasibility",
    "QLogExpectedImprovement",
    "SumOfLogs",
    "log_expected_improvement",
    "normal_base_samples",
]
