"""The most probable parameters of any GPyTorch model: a maximum a posteriori fit by autograd.

The value is that of GPyTorch's ExactMarginalLogLikelihood times n, with the model's priors and
added loss terms; the tests hold the two together. Here K = L L^T is factorized with jitter, and
autograd runs from dK on: d log p / dK = (a a^T - K^-1) / 2, d log p / dm = a, with m the mean and
a = K^-1 (y - m) (Rasmussen & Williams 2006, eq. 5.9).

A row is all parameters that are to be learned, side by side, as the modules hold them: before the
transforms of their constraints, so that any row is allowed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gpytorch
import numpy as np
import torch
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

from gpbo.lbfgsb import Settings, minimize
from gpbo.linalg import inverse, solve, try_cholesky
from gpbo.surrogate.custom_posterior import observed
from gpbo.surrogate.evidence import Data, Evidence
from gpbo.surrogate.fit import SETTINGS, FitReport

# Draws to start a first search from: DRAWS, or BUDGET / n where that is fewer, at least one; later
# searches, which also have the best of all before, start from one. GPyTorch takes milliseconds for
# one value and gradient, and a start some 30 of them.
DRAWS, BUDGET = 4, 400
GRID = 1024  # sizes that a draw may have, over 18 decades: 4 % apart
GROWTH = 1.1  # of the data, but more than one observation, after which all starts are tried again
# Past this a number is as good as infinite to every transform, and infinity has no slope.
FAR = 1e6
# What a model may say of parameters that make no sense to it: the search steps back from there.
LinAlgError = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # torch does not list it
NUMERICAL = (ArithmeticError, NanError, NotPSDError, LinAlgError)


@dataclass(frozen=True, eq=False)
class Row:
    """The parameters of a model that are to be learned, as one row of p numbers.

    Shapes   lower, upper (p,): where the constraints end; constrained (p,) bool
    """

    names: tuple[str, ...]
    parameters: tuple[torch.nn.Parameter, ...]
    lower: Tensor
    upper: Tensor
    constrained: Tensor

    @classmethod
    def of(cls, model: gpytorch.models.ExactGP, like: Tensor) -> Row:
        """The row of a model, with bounds on the device of `like`."""
        found = [
            (name, parameter, constraint)
            for name, parameter, constraint in model.named_parameters_and_constraints()
            if parameter.requires_grad
        ]
        empty = like.new_zeros(0)
        ends = [_ends(parameter, constraint) for _, parameter, constraint in found]
        held = [torch.full_like(p, c is not None, dtype=torch.bool) for _, p, c in found]
        return cls(
            names=tuple(name for name, _, _ in found),
            parameters=tuple(parameter for _, parameter, _ in found),
            lower=torch.cat([empty, *(low.reshape(-1) for low, _ in ends)]),
            upper=torch.cat([empty, *(high.reshape(-1) for _, high in ends)]),
            constrained=torch.cat([empty.bool(), *(h.reshape(-1) for h in held)]),
        )

    def read(self) -> Tensor:
        """The parameters as they are, within the bounds: (p,)."""
        with torch.no_grad():
            parts = [parameter.detach().reshape(-1) for parameter in self.parameters]
            return torch.cat([self.lower[:0], *parts]).clamp(self.lower, self.upper)

    def write(self, row: Tensor) -> None:
        """Give the model these parameters; row (p,)."""
        with torch.no_grad():
            sizes = [parameter.numel() for parameter in self.parameters]
            for parameter, part in zip(self.parameters, torch.split(row, sizes), strict=True):
                parameter.copy_(part.view_as(parameter))

    def to_dict(self, row: Tensor) -> dict[str, Any]:
        """JSON values by name; `from_dict` gives back equal bits."""
        sizes = [parameter.numel() for parameter in self.parameters]
        parts = zip(self.names, self.parameters, torch.split(row, sizes), strict=True)
        return {name: part.view_as(parameter).tolist() for name, parameter, part in parts}

    def from_dict(self, values: object) -> Tensor | None:
        """What `to_dict` wrote; None where it is something else, or of another model."""
        if not isinstance(values, Mapping) or set(values) != set(self.names):
            return None
        parts = [self.lower[:0]]
        for name, parameter in zip(self.names, self.parameters, strict=True):
            try:
                part = parameter.new_tensor(values[name])
            except (TypeError, ValueError, RuntimeError):
                return None
            if part.shape != parameter.shape or not bool(torch.isfinite(part).all()):
                return None
            parts.append(part.reshape(-1))
        return torch.cat(parts).clamp(self.lower, self.upper)


class ModelLogPosterior:
    """log p(y) plus the log densities of the model's priors and its added loss terms.

    Shapes   rows (b, p)
    Needs    nan for a row where the model has no value
    """

    def __init__(self, model: gpytorch.models.ExactGP, data: Data, row: Row) -> None:
        self.model, self.data, self.row = model, data, row

    def __call__(self, rows: Tensor) -> Evidence:
        found = [self._at(row) for row in rows]
        value, gradient, jitter = (torch.stack(part) for part in zip(*found, strict=True))
        return Evidence(value, gradient, jitter)

    def _at(self, row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        data, nothing = self.data, row.new_tensor(torch.nan)
        self.row.write(row)
        try:
            with torch.enable_grad():
                mean, matrix, _ = observed(self.model, data)
                others = self._others(row)
        except (*NUMERICAL, ValueError):  # a prior's, of a value outside of its support
            return nothing, torch.full_like(row, torch.nan), nothing
        factor = try_cholesky(matrix.detach())
        residual = data.y - mean.detach()
        weights = solve(factor.lower, residual.unsqueeze(-1)).squeeze(-1)
        value = -0.5 * (residual @ weights) - factor.lower.diagonal().log().sum()
        value = value - 0.5 * len(data.y) * math.log(2 * math.pi) + others.detach()
        slope = 0.5 * (torch.outer(weights, weights) - inverse(factor.lower))
        with torch.enable_grad():  # not the value, but its slope
            linear = (matrix * slope).sum() + mean @ weights + others
        return value, self._gradient(linear, row), factor.jitter

    def _others(self, like: Tensor) -> Tensor:
        total = like.new_zeros(())
        for _, module, prior, closure, _ in self.model.named_priors():
            total = total + prior.log_prob(closure(module)).sum()
        for term in self.model.added_loss_terms():
            total = total + term.loss().sum()
        return total

    def _gradient(self, linear: Tensor, row: Tensor) -> Tensor:
        if not linear.requires_grad or not self.row.parameters:
            return torch.zeros_like(row)
        slopes = torch.autograd.grad(
            linear, self.row.parameters, allow_unused=True, materialize_grads=True
        )
        return torch.cat([slope.reshape(-1) for slope in slopes])


def fit(
    model: gpytorch.models.ExactGP,
    data: Data,
    rng: np.random.Generator,
    *,
    warm: Mapping[str, Any] | None = None,
    settings: Settings = SETTINGS,
) -> tuple[dict[str, Any], FitReport]:
    """Give the model the parameters that maximize its log posterior; the next `warm`, and a report.

    Starts from the parameters that the model has, from draws, and from `warm` where it is of such
    a model. While the data have not grown by GROWTH since all starts were tried, only `warm` is.
    Never raises for a numerical reason: without a finite value the model gets `warm`, or else keeps
    what it has.

    Needs    rng: always drawn from equally, whether or not there is a warm start
    """
    began = time.perf_counter()
    model.train()
    row, n = Row.of(model, data.x), len(data.y)
    built = row.read()
    draws = _draws(model, row, max(1, min(DRAWS, BUDGET // max(n, 1))), rng)
    rows, searched = torch.cat([built.unsqueeze(0), draws]), n
    known, before = _read(warm, row)
    if known is not None and before <= n < GROWTH * before + 1:
        rows, searched = known.unsqueeze(0), before
    elif known is not None:
        rows = torch.cat([known.unsqueeze(0), rows[:2]])
    if n == 0:
        row.write(built)
        nothing = FitReport(0, 0.0, 0.0, 0.0, 0.0, 0, 0, "no data: the model as it was made")
        return {"parameters": row.to_dict(built), "searched": 0}, nothing
    target = ModelLogPosterior(model, data, row)

    def negative(rows: Tensor) -> tuple[Tensor, Tensor]:
        evidence = target(rows)
        return -evidence.value, -evidence.gradient

    end = minimize(negative, rows, row.lower, row.upper, settings)
    best = int(end.value.nan_to_num(nan=torch.inf).argmin())
    chosen, fallback = end.x[best], None
    if not math.isfinite(float(end.value[best])):
        name = "the model as it was made" if known is None else "the last good parameters"
        fallback = f"no start has a finite log posterior: {name}"
        chosen, searched = built if known is None else known, 0
    jitter = float(target(chosen.unsqueeze(0)).jitter)
    row.write(chosen)  # whatever was looked at last, the model is left with these
    report = FitReport(
        iterations=int(end.iterations[best]),
        gradient_norm=float(end.grad_norm[best]),
        jitter=jitter,
        log_posterior=-float(end.value[best]),
        seconds=time.perf_counter() - began,
        starts=len(rows),
        evaluations=int(end.evaluations.sum()),
        fallback=fallback,
    )
    return {"parameters": row.to_dict(chosen), "searched": searched}, report


def _read(warm: Mapping[str, Any] | None, row: Row) -> tuple[Tensor | None, int]:
    """The parameters of an earlier fit, and from how many observations all starts were tried."""
    known = None if warm is None else row.from_dict(warm.get("parameters"))
    searched = 0 if warm is None or known is None else warm.get("searched")
    return known, searched if isinstance(searched, int) and searched > 0 else 0


def _ends(
    parameter: Tensor, constraint: gpytorch.constraints.Interval | None
) -> tuple[Tensor, Tensor]:
    """The box of a parameter as its module holds it.

    A constraint with a transform keeps any number in its range; where the ends of the range have
    finite counterparts, nothing changes beyond them.
    """
    lower, upper = torch.full_like(parameter, -FAR), torch.full_like(parameter, FAR)
    if constraint is None:
        return lower.detach(), upper.detach()
    with torch.no_grad():
        ends = [
            constraint.inverse_transform(end.to(parameter)).expand_as(parameter)
            for end in (constraint.lower_bound, constraint.upper_bound)
        ]
        low, high = torch.minimum(*ends), torch.maximum(*ends)  # nan stays nan
        known = torch.isfinite(low), torch.isfinite(high)
        return torch.where(known[0], low, lower), torch.where(known[1], high, upper)


def _draws(
    model: gpytorch.models.ExactGP, row: Row, count: int, rng: np.random.Generator
) -> Tensor:
    """Starts from the priors; a constrained parameter without one moves by a unit or so.

    Shapes   (count, p)
    """
    built, rows = row.read(), []
    for _ in range(count):
        step = torch.from_numpy(rng.standard_normal(len(built))).to(built)
        row.write(built + step * row.constrained)
        for _, module, prior, closure, set_value in model.named_priors():
            value = _draw(prior, closure(module).detach(), rng)
            if value is None or set_value is None:
                continue
            try:
                set_value(module, value)
            except (RuntimeError, ValueError):  # outside of what the constraint allows
                continue
        rows.append(row.read())
    row.write(built)
    return torch.stack(rows)


def _draw(prior: gpytorch.priors.Prior, like: Tensor, rng: np.random.Generator) -> Tensor | None:
    """A value from a prior by its density alone, or None where a number has none.

    The prior's own `sample` would take from torch's global stream of random numbers.

    Shapes   like (...) -> (...)
    """
    u = torch.from_numpy(rng.random(tuple(like.shape))).to(like)
    if prior.event_shape:
        return None
    size = torch.logspace(-9, 9, GRID, dtype=like.dtype, device=like.device)
    grid = torch.cat([-size.flip(0), size])
    points = grid.reshape(-1, *[1] * like.ndim).expand(-1, *like.shape)
    try:
        inside = prior.support.check(prior.transform(points)).expand_as(points)
        first = points.gather(0, inside.long().argmax(0, keepdim=True))
        density = prior.log_prob(torch.where(inside, points, first)).expand_as(points)
    except (NotImplementedError, AttributeError, RuntimeError, ValueError):
        return None
    density = torch.where(inside, density.nan_to_num(nan=-torch.inf), -torch.inf)
    # The grid is even in log |value|: a point stands for a stretch as long as it is far from 0.
    share = (density - density.amax(0)).exp() * points.abs()
    below = share.cumsum(0)
    return grid[(below < u * below[-1]).sum(0).clamp_max(len(grid) - 1)]
