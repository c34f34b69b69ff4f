"""The acquisition over a domain, as the search sees it: values in pieces, and what is ruled out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gpbo.acquisition.base import Acquisition
from gpbo.maximizer.box import Box
from gpbo.maximizer.domain import Domain
from gpbo.maximizer.settings import Settings

CELLS = 2**22  # numbers in the encoding of the points that are looked at at once: 32 MiB


class Taken:
    """Points that must not be proposed again."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._keys: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, z: Tensor) -> None:
        """Rule out these points; z (n, p)."""
        if len(z):
            self._keys.update(self._rows(z))

    def mask(self, z: Tensor) -> Tensor:
        """Which points are ruled out; z (n, p) -> bool (n,)."""
        found = [row in self._keys for row in self._rows(z)]
        return torch.tensor(found, dtype=torch.bool, device=z.device)

    def first(self, z: Tensor, order: Tensor) -> int | None:
        """The first of `order`, row numbers of z, that is not ruled out; None if all are."""
        for start in range(0, order.shape[0], 16):  # one piece is nearly always enough
            rows = order[start : start + 16]
            for number, key in zip(rows.tolist(), self._rows(z[rows]), strict=True):
                if key not in self._keys:
                    return int(number)
        return None

    def _rows(self, z: Tensor) -> Iterator[bytes]:
        return (row.tobytes() for row in self._domain.key(z).cpu().numpy())


@dataclass(frozen=True, eq=False)
class Landscape:
    """What is to be maximized, where, and how."""

    acquisition: Acquisition
    domain: Domain
    settings: Settings
    lengthscale: Tensor | None  # (p,)
    taken: Taken
    box: Box | None = None  # nothing outside of it is worth anything

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Between what each coordinate may move: (p,), (p,)."""
        if self.box is not None:
            return self.box.lower, self.box.upper
        low = torch.zeros(self.domain.p, dtype=torch.float64, device=self.domain.kind.device)
        return low, low + 1.0

    def values(self, z: Tensor) -> Tensor:
        """The value of each point on its own, in pieces that bound the memory.

        -inf where it is not a number, outside of the box and, in a finite domain, where the point
        is taken: there known points are hit all the time, and the search must walk past them.

        Shapes   z (n, p), snapped -> (n,)
        """
        if z.shape[0] == 0:
            return z.new_zeros(0)
        rows = max(1, min(self.settings.chunk, CELLS // self.domain.d))
        with torch.no_grad():
            parts = [
                self.acquisition(self.domain.embed(some).unsqueeze(1))
                for some in torch.split(z, rows)
            ]
        values = torch.cat(parts)
        bad = torch.isnan(values)
        if self.domain.size is not None:
            bad |= self.taken.mask(z)
        if self.box is not None:
            bad |= ~self.box.contains(self.domain, z)
        return values.masked_fill(bad, -torch.inf)
