"""Batched minimization in a box: many independent L-BFGS-B runs that share each function call.

Symbols: k rows (runs), p coordinates. Per row: point x, value f, gradient g, direction D, step t.
Every row walks its own line search, so at one call rows stand at different places of it; a row
that is done leaves the batch.

A direction comes from the model q(z) = g z + z B z / 2 of f(x + z) and leads to its minimum in the
box where that is found at once, else by a Cauchy point on the projected gradient, which says which
coordinates are on a bound, to the minimum over the others. The search is along the straight
segment to there, on which the function is smooth.
Sources: Byrd, Lu, Nocedal & Zhu 1995, doi:10.1137/0916069 (the method); Lin & More 1999,
doi:10.1137/S1052623498345075 (a Cauchy point need not be exact); Morales & Nocedal 2011,
doi:10.1145/2049662.2049669 (project the model's minimum); Lewis & Overton 2013,
doi:10.1007/s10107-012-0514-2, algorithm 2.6 (the bracketing search).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gpbo.curvature import Curvature, curvature
from gpbo.errors import ShapeError, explain

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]

ARMIJO = 1e-4  # the decrease that a step must give, as a share of what the slope promises
WOLFE = 0.9  # the share of the slope that may be left; Nocedal & Wright 2006, section 3.1
ROUNDING = 1e-15  # relative error of a value that the search does not take for an increase
TRIALS = 20  # points that one line search may look at


@dataclass(frozen=True)
class Settings:
    """When a row stops, and how much it remembers."""

    max_iter: int = 200
    gradient_tolerance: float = 1e-5  # largest entry of the projected gradient
    value_tolerance: float = 2.2e-9  # decrease / max(|f|, |f before|, 1); SciPy's default
    memory: int = 10


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where each row ended.

    Shapes   x (b, p); value, grad_norm, iterations, evaluations, converged (b,)
    Needs    grad_norm is the largest entry of the projected gradient; converged is False where
             max_iter ended the row, no lower point was found, or the start was not finite
    """

    x: Tensor
    value: Tensor
    grad_norm: Tensor
    iterations: Tensor
    evaluations: Tensor
    converged: Tensor


def minimize(
    f: Objective, x0: Tensor, lower: Tensor, upper: Tensor, settings: Settings | None = None
) -> Minimum:
    """The local minimum of f in the box that each row of x0 leads to. It minimizes.

    Shapes   x0 (b, p), lower and upper broadcastable to it; f: (k, p) -> values (k,), grads (k, p)
    Needs    f treats rows alike and independently: it is called with the k <= b rows still running;
             a value or gradient that is not finite makes that row step back
    Raises   ShapeError  if x0 is not (b, p), or a lower bound is above its upper bound
    """
    settings = settings or Settings()
    lower, upper = _check(x0, lower, upper)
    x = torch.clamp(x0.detach(), lower, upper)
    if x.numel() == 0:
        return _nothing_to_do(f, x)
    run = _start(f, x, lower, upper, settings)
    result = _results(run)
    while True:
        done = run.stopped | run.converged
        if bool(done.any()):
            _store(result, run, done)
            run = _select(run, ~done)
        if run.x.shape[0] == 0:
            return Minimum(**result)
        _advance(f, run, settings)


@dataclass
class _Run:
    """The rows still running; every field has one entry a row. Changed in place by `_advance`."""

    row: Tensor  # (k,) where in the caller's batch
    lower: Tensor
    upper: Tensor
    x: Tensor  # (k, p) the point that the line search starts from
    value: Tensor
    grad: Tensor
    direction: Tensor  # (k, p)
    slope: Tensor  # (k,) grad . direction
    step: Tensor  # (k,) the step to try next
    step_limit: Tensor  # (k,) the step that reaches the box's wall
    short: Tensor  # (k,) the longest step known to be too short
    long: Tensor  # (k,) the shortest step known to be too long
    trials: Tensor  # (k,) points that this line search has looked at
    curvature: Curvature
    restarted: Tensor  # (k,) the iteration at which the row last forgot its curvature
    iterations: Tensor
    evaluations: Tensor
    converged: Tensor
    stopped: Tensor


def projected_gradient_norm(x: Tensor, grad: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The largest move that a unit step against the gradient makes inside the box.

    Shapes   all (b, p) -> (b,)
    """
    return torch.clamp(x - grad, lower, upper).sub(x).abs().amax(-1)


def _start(f: Objective, x: Tensor, lower: Tensor, upper: Tensor, settings: Settings) -> _Run:
    value, grad = f(x)
    b, zeros = x.shape[0], torch.zeros_like(value)
    counts = torch.zeros(b, dtype=torch.long, device=x.device)
    run = _Run(
        row=torch.arange(b, device=x.device),
        lower=lower,
        upper=upper,
        x=x,
        value=value.detach().clone(),
        grad=grad.detach().clone(),
        direction=torch.zeros_like(x),
        slope=zeros,
        step=zeros,
        step_limit=zeros,
        short=zeros,
        long=zeros,
        trials=counts,
        curvature=curvature(grad.detach(), settings.memory),
        restarted=counts,
        iterations=counts,
        evaluations=counts + 1,
        converged=torch.zeros(b, dtype=torch.bool, device=x.device),
        stopped=~_finite(value, grad),
    )
    norm = projected_gradient_norm(run.x, run.grad, lower, upper)
    run.converged = ~run.stopped & (norm <= settings.gradient_tolerance)
    run.stopped |= ~run.converged & (settings.max_iter == 0)
    _aim(run, torch.ones_like(run.stopped))
    return run


def _advance(f: Objective, run: _Run, settings: Settings) -> None:
    """One function call: each row takes the point it tried, or corrects its step."""
    x = torch.clamp(run.x + run.step.unsqueeze(-1) * run.direction, run.lower, run.upper)
    value, grad = f(x)
    run.evaluations = run.evaluations + 1
    run.trials = run.trials + 1
    good, too_long, too_short = _judge(run, value, grad)
    if not bool(good.all()):
        _correct_step(run, value, too_long, too_short)
    lost = ~good & (run.trials >= TRIALS)
    _take(run, x, value, grad, good, settings)
    if bool(lost.any()):  # nothing lower on this segment: start over; when just started, give up
        run.stopped |= lost & (run.restarted == run.iterations)
        run.restarted = torch.where(lost, run.iterations, run.restarted)
        run.curvature.forget(lost, run.grad)
    _aim(run, good | lost)


def _judge(run: _Run, value: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows take the tried point, and which tried too long or too short a step."""
    slope = (grad * run.direction).sum(-1)
    gain = run.value - value
    enough = gain >= -ARMIJO * run.step * run.slope
    # Near the minimum the gain drowns in rounding; there the slope tells (Hager & Zhang 2005,
    # doi:10.1137/030601880, eq. 4.1).
    level = gain >= -ROUNDING * run.value.abs()
    enough |= level & (slope <= (2 * ARMIJO - 1) * run.slope)
    enough &= _finite(value, grad)
    steep = enough & (slope < WOLFE * run.slope) & (run.step < run.step_limit)
    return enough & ~steep, ~enough, steep


def _correct_step(run: _Run, value: Tensor, too_long: Tensor, too_short: Tensor) -> None:
    """The next step to try, for the rows that did not take this one."""
    run.long = torch.where(too_long, run.step, run.long)
    run.short = torch.where(too_short, run.step, run.short)
    width = run.long - run.short
    # The minimum of the parabola through f(0), f'(0) and f(t), kept well inside the bracket.
    bend = 2 * (value - run.value - run.step * run.slope)
    parabola = -run.slope * run.step.square() / bend
    usable = torch.isfinite(bend) & torch.isfinite(parabola) & (run.short == 0)
    inside = torch.where(usable, parabola, run.short + 0.5 * width)
    inside = torch.clamp(inside, run.short + 0.1 * width, run.short + 0.5 * width)
    beyond = torch.minimum(4 * run.step, run.step_limit)
    step = torch.where(torch.isfinite(run.long), inside, beyond)
    run.step = torch.where(too_long | too_short, step, run.step)


def _take(
    run: _Run, x: Tensor, value: Tensor, grad: Tensor, good: Tensor, settings: Settings
) -> None:
    """Move the rows of `good` to the tried point and see whether they are done."""
    row = good.unsqueeze(-1)
    run.curvature.learn(x - run.x, grad - run.grad, good)
    size = torch.maximum(run.value.abs(), value.abs()).clamp_min(1.0)
    settled = run.value - value <= settings.value_tolerance * size
    run.x = torch.where(row, x, run.x)
    run.value = torch.where(good, value, run.value)
    run.grad = torch.where(row, grad, run.grad)
    run.iterations = run.iterations + good
    norm = projected_gradient_norm(run.x, run.grad, run.lower, run.upper)
    run.converged = good & (settled | (norm <= settings.gradient_tolerance))
    run.stopped |= good & ~run.converged & (run.iterations >= settings.max_iter)


def _aim(run: _Run, rows: Tensor) -> None:
    """A new direction, and a line search at its beginning, for the given rows."""
    if not bool(rows.any()):
        return
    direction = _direction(run)
    limit = _room(direction, run.lower - run.x, run.upper - run.x).clamp_min(1.0)
    run.direction = torch.where(rows.unsqueeze(-1), direction, run.direction)
    run.slope = (run.grad * run.direction).sum(-1)
    run.step_limit = torch.where(rows, limit, run.step_limit)
    run.step = run.step.masked_fill(rows, 1.0)
    run.short = run.short.masked_fill(rows, 0.0)
    run.long = run.long.masked_fill(rows, torch.inf)
    run.trials = run.trials.masked_fill(rows, 0)


def _direction(run: _Run) -> Tensor:
    """The step to the model's minimum in the box, or to a point of the box nearly as low."""
    grad, low, high = (v.unsqueeze(1) for v in (run.grad, run.lower - run.x, run.upper - run.x))
    bound = ((low >= 0) & (grad > 0)) | ((high <= 0) & (grad < 0))
    newton, failed = run.curvature.newton(grad, ~bound)
    slope = grad + run.curvature.times(newton)
    # No coordinate leaves the box, and none on a bound is pulled off it: the minimum in the box.
    fits = (newton >= low) & (newton <= high) & ~(bound & (slope * grad < 0))
    fits = fits.all(-1, keepdim=True) & ~failed.view(-1, 1, 1)
    if not bool(fits.all()):
        newton = torch.where(fits, newton, _by_cauchy(run, bound, low, high))
    downhill = (newton * grad).sum(-1) < 0
    if not bool(downhill.all()):  # rounding or overflow made B useless
        newton = torch.where(downhill.unsqueeze(-1), newton, _plain(run, ~downhill, low, high))
    return newton.squeeze(1)


def _plain(run: _Run, rows: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """A step against the gradient for rows that forget their curvature."""
    run.curvature.forget(rows.squeeze(-1), run.grad)
    largest = run.grad.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(low.dtype).tiny)
    return torch.clamp(-(run.grad / largest).unsqueeze(1), low, high)


def _by_cauchy(run: _Run, bound: Tensor, low: Tensor, high: Tensor) -> Tensor:
    grad = run.grad.unsqueeze(1)
    cauchy = _cauchy(run.curvature, grad, ~bound, low, high)
    slope = grad + run.curvature.times(cauchy)
    newton, failed = run.curvature.newton(slope, (cauchy > low) & (cauchy < high))
    if bool(failed.any()):  # rounding took B's positive definiteness: without it for this once
        newton = newton.masked_fill(failed.view(-1, 1, 1), 0.0)
        run.curvature.forget(failed, run.grad)
    projected = torch.clamp(cauchy + newton, low, high)
    share = _room(newton, low - cauchy, high - cauchy).clamp_max(1.0)
    inside = cauchy + share.unsqueeze(-1) * newton
    value = _model(run.curvature, grad, torch.cat([cauchy, projected], 1))
    return torch.where((value[:, 1] <= value[:, 0]).view(-1, 1, 1), projected, inside)


def _cauchy(b: Curvature, grad: Tensor, free: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The lowest in q of some steps down the projected gradient."""
    down = grad * free
    bend = (down * b.times(down)).sum(-1, keepdim=True)
    length = (down * down).sum(-1, keepdim=True) / bend.clamp_min(torch.finfo(bend.dtype).tiny)
    shares = 4.0 ** torch.arange(-6, 5, dtype=grad.dtype, device=grad.device).view(1, -1, 1)
    path = torch.clamp(-(length * shares) * down, low, high)
    best = _model(b, grad, path).argmin(1).view(-1, 1, 1)
    return path.gather(1, best.expand(-1, 1, path.shape[-1]))


def _model(b: Curvature, grad: Tensor, z: Tensor) -> Tensor:
    return (z * (grad + 0.5 * b.times(z))).sum(-1)


def _room(direction: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The longest step along each direction (..., p) before a coordinate leaves [low, high]."""
    room = torch.where(direction > 0, high, low) / direction
    return room.nan_to_num(nan=torch.inf, neginf=torch.inf).amin(-1)


def _finite(value: Tensor, grad: Tensor) -> Tensor:
    return torch.isfinite(value + grad.sum(-1))


def _select(run: _Run, rows: Tensor) -> _Run:
    keep = _numbers(rows)
    run.curvature.select(keep)
    names = (field.name for field in fields(run) if field.name != "curvature")
    return _Run(curvature=run.curvature, **{name: getattr(run, name)[keep] for name in names})


def _numbers(rows: Tensor) -> Tensor:
    """The numbers of the rows that are True: to be found once, since a GPU is waited for."""
    return rows.nonzero().squeeze(-1)


def _results(run: _Run) -> dict[str, Tensor]:
    names = ("x", "value", "iterations", "evaluations", "converged")
    result = {name: getattr(run, name).clone() for name in names}
    result["grad_norm"] = torch.zeros_like(run.value)
    return result


def _store(result: dict[str, Tensor], run: _Run, done: Tensor) -> None:
    ended = _numbers(done)
    rows = run.row[ended]
    for name in ("x", "value", "iterations", "evaluations", "converged"):
        result[name][rows] = getattr(run, name)[ended]
    norm = projected_gradient_norm(run.x, run.grad, run.lower, run.upper)
    result["grad_norm"][rows] = norm[ended]


def _nothing_to_do(f: Objective, x: Tensor) -> Minimum:
    counts = torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
    value = f(x)[0].detach() if x.shape[0] else x.new_zeros(0)
    return Minimum(x, value, torch.zeros_like(value), counts, counts, counts == 0)


def _check(x0: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    if x0.ndim != 2:
        shape = tuple(x0.shape)
        raise ShapeError(explain("minimize", "x0 has no rows", shape, expected="shape (b, p)"))
    try:
        lower, upper = lower.expand(x0.shape), upper.expand(x0.shape)
    except RuntimeError:
        shapes = (tuple(lower.shape), tuple(upper.shape))
        raise ShapeError(
            explain("minimize", "bounds do not fit x0", shapes, expected=f"like {tuple(x0.shape)}")
        ) from None
    if bool((lower > upper).any()):
        raise ShapeError(explain("minimize", "a lower bound is above its upper bound"))
    return lower, upper
