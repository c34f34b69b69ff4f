"""Where the compiled libraries are, and on which device they can be used.

Two shared libraries lie in `gpbo/ops/lib`: one for the CPU, and one for CUDA that is opened only
where torch sees a GPU. Nothing is loaded at import; the first op loads what its device needs. A
handle is plain code without state, so it stays good in a forked child.

A library that is missing is a supported way to live (no compiler, a pure wheel): torch computes
the same numbers, `describe` says so, and nobody is warned. One that is there and cannot be used is
a defect that its owner can mend: that gives one FallbackWarning. GPBO_REFERENCE=1 in the
environment, read at the first op, leaves everything to torch.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

import torch

from gpbo.errors import FallbackWarning, explain, warn
from gpbo.ops.compiled import Library
from gpbo.ops.watched import watched

REFERENCE = "GPBO_REFERENCE"
FOLDER = "lib"


def on(device: torch.device) -> Library | None:
    """The library that works on a device, or None where torch does, as wherever it is `watched`."""
    return None if watched() else _on(device)


@functools.cache  # every call of an op asks
def _on(device: torch.device) -> Library | None:
    if _reference_forced():
        return None
    kind = device.type
    if kind == "cpu":
        return _load("cpu")[0]
    if kind == "cuda" and not _unsupported(device.index):
        return _load("cuda")[0]
    return None


def describe() -> dict[str, Any]:
    """For `gpbo doctor`: per device whether compiled code runs there, from which file, or why not.

    {"forced_reference": bool, "cpu": {"compiled": bool, "path": str | None, "note": str},
     "cuda": {...}}
    """
    found: dict[str, Any] = {"forced_reference": _reference_forced()}
    for kind in ("cpu", "cuda"):
        if kind == "cuda" and not torch.cuda.is_available():
            path = _find(kind)
            note = "torch sees no GPU" + ("" if path else "; not built")
            found[kind] = {"compiled": False, "path": path, "note": note}
            continue
        library, note = _load(kind)
        if library is not None and kind == "cuda":
            count = torch.cuda.device_count()
            reasons = {i: _unsupported(i) for i in range(count)}
            note = "; ".join(f"cuda:{i}: {why}" for i, why in reasons.items() if why)
            if all(reasons.values()):
                library = None
        found[kind] = {"compiled": library is not None, "path": _find(kind), "note": note}
    return found


@functools.cache
def _load(kind: str) -> tuple[Library | None, str]:
    """The library of a kind and what there is to say about it, found out once per process."""
    path = _find(kind)
    if path is None:
        return None, "not built (no compiler at install time); torch does the work"
    try:
        return Library(kind, path), ""
    except OSError as error:
        _warn(f"the compiled {kind} library", str(error))
        return None, f"cannot be used: {error}"


@functools.cache
def _unsupported(index: int) -> str:
    """Why compiled code cannot run on a GPU, with a warning the first time; empty where it can."""
    library, note = _load("cuda")
    if library is None:
        return note
    why = library.supports(index)
    if why:
        _warn(f"the compiled cuda library on cuda:{index}", why)
    return why


def _warn(what: str, why: str) -> None:
    text = explain(what, "cannot be used", why, fix="torch does the work, with the same results.")
    warn(text, FallbackWarning)


def _reference_forced() -> bool:
    return os.environ.get(REFERENCE, "") not in ("", "0")


def _find(kind: str) -> str | None:
    names = {"win32": f"gpbo_{kind}.dll", "darwin": f"libgpbo_{kind}.dylib"}
    name = names.get(sys.platform, f"libgpbo_{kind}.so")
    # An editable install spreads the package over two folders: sources here, built files there.
    for folder in sys.modules[__package__ or "gpbo.ops"].__path__:
        path = os.path.join(folder, FOLDER, name)
        if os.path.isfile(path):
            return path
    return None
