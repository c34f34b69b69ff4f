"""Whether torch wants to see every operation, so that compiled code must not go past it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

# None of these has a public name.
_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_transform: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack


def watched() -> bool:
    """Whether this is inside a mode such as FakeTensorMode, make_fx, forward differentiation, or a
    transform of torch.func.
    """
    return bool(_modes()) or forward_ad._current_level >= 0 or _transform() is not None
