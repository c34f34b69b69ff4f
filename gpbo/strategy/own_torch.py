"""Torch as a model needs it, whatever the user has set, and for as long as the model works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

# torch.set_num_threads is for a thread, and for those that first use torch after it.
_counting, _inside, _outside = threading.Lock(), 0, 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside, and what it used before outside.

    The matrices of a fit are small: a second thread makes it 10 to 50 times slower, and takes a
    core from the training that waits (optuna#6191).
    """
    global _inside, _outside
    with _counting:
        before = torch.get_num_threads()
        if _inside == 0:
            _outside = before
        elif before == 1:  # of a thread that met torch while others were inside: their 1, not its
            before = _outside
        _inside += 1
    try:
        torch.set_num_threads(1)
        yield
    finally:
        with _counting:
            _inside -= 1
        torch.set_num_threads(before)


@contextmanager
def own_torch() -> Iterator[None]:
    """Torch as a model needs it inside, whatever the user has set: one thread, new tensors on the
    CPU, and none of them an inference tensor, which no surrogate's gradient could use; and NumPy
    as it comes, where what is too small for a number is 0.
    """
    cpu = torch.device("cpu")
    with one_thread(), torch.inference_mode(False), ExitStack() as stack:
        stack.enter_context(np.errstate(all="warn", under="ignore"))
        if torch.get_default_device() != cpu:  # not always: it makes each call of torch slower
            stack.enter_context(cpu)
        yield
