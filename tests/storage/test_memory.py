"""What is special about studies in memory."""

from __future__ import annotations

import multiprocessing
import sys

import pytest

import gpbo
from gpbo.errors import StorageUnavailableError


def tell_in_child(opt: gpbo.Optimizer, answers: multiprocessing.Queue[str]) -> None:
    try:
        opt.tell(0, 0.5)
        answers.put("told")
    except StorageUnavailableError as error:
        answers.put(str(error))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of Python 3.12, with threads
def test_a_forked_child_is_told_that_its_results_would_be_lost() -> None:
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0)
    opt.ask()
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=tell_in_child, args=(opt, answers))
    child.start()
    assert "Keep the study in a file" in answers.get(timeout=60)
    child.join()
    opt.tell(0, 0.5)
    assert opt.best_value == 0.5
