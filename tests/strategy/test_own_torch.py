"""Torch as a model needs it, and as the user has it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

import numpy as np
import torch

import gpbo
from gpbo.strategy.own_torch import one_thread


def test_overlapping_asks_leave_every_thread_the_threads_it_had():
    before, seen = torch.get_num_threads(), []
    inside, leave = threading.Event(), threading.Event()

    def first():
        with one_thread():
            inside.set()
            leave.wait(10)
        seen.append(torch.get_num_threads())

    def second():  # meets torch while the first is inside
        with one_thread():
            seen.append(torch.get_num_threads())
            leave.set()
            one.join(10)
        seen.append(torch.get_num_threads())

    torch.set_num_threads(3)
    try:
        one, two = threading.Thread(target=first), threading.Thread(target=second)
        one.start()
        inside.wait(10)
        two.start()
        two.join(10)
        late = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        late.start()
        late.join(10)
        assert seen == [1, 3, 3, 3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


USER = """
import sys, torch, gpbo
if sys.argv[1] == "device":
    torch.set_default_device("meta")  # as good as another one to show what forgets to say where
if sys.argv[1] == "dtype":
    torch.set_default_dtype(torch.float64)
mode = torch.inference_mode() if sys.argv[1] == "inference" else torch.enable_grad()
space = {"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1), "kind": ["a", "b", "c"]}
with mode:
    for strategy in ("bayes", "trust_region"):
        opt = gpbo.Optimizer(space, strategy=strategy, seed=3, device="cpu")
        for k, trial in enumerate(opt.ask(3) + opt.ask(4) + opt.ask(6)):
            opt.tell(trial, (trial["x"] - 0.3) ** 2) if k % 5 else opt.tell(trial, failed=True)
        print(*(t.params.values() for t in opt.ask(3)), opt.recommend(), opt.trials[-1].provenance)
"""


def test_what_the_user_sets_in_torch_changes_no_proposal():
    def said(setting: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", USER, setting],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return re.sub(r"'seconds': [^,}]*", "", done.stdout)

    usual = said("nothing")
    assert "'phase': 'model'" in usual
    for setting in ("device", "dtype", "inference"):
        assert said(setting) == usual


def test_numpy_may_raise_outside_but_not_where_a_model_works() -> None:
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, seed=0)
    with np.errstate(all="raise"):
        for k, value in enumerate([1e300, 1e-300, 1.0, 2.0, 3.0, 4.0]):
            opt.add({"x": k / 6}, value)
        assert opt.ask().provenance["fallback"] is None
