"""From many starts uphill at once, over the continuous coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from gpbo.acquisition.base import Stop
from gpbo.lbfgsb import Settings, minimize
from gpbo.maximizer.landscape import Landscape

UNKNOWN = 0.25  # the lengthscale of a function of which it is not known


def climb(landscape: Landscape, z: Tensor) -> tuple[Tensor, Tensor]:
    """The local maximum that each row leads to while its discrete coordinates stay, and its value.

    Coordinates are divided by the lengthscales, which makes the curvatures alike; the first step
    is one lengthscale long.

    Shapes   z (b, p), snapped -> (b, p), snapped, and (b,)
    Needs    a start whose value is not finite stays where it is and counts as -inf
    """
    domain, lengthscale = landscape.domain, landscape.lengthscale
    free = domain.continuous
    scale = torch.full_like(z[0], UNKNOWN) if lengthscale is None else lengthscale.to(z)
    scale = torch.where(free, scale, 1.0)  # a discrete coordinate keeps its level bit for bit
    settings = landscape.settings
    stop = Stop(settings.steps, settings.gradient_tolerance, settings.value_tolerance)
    found = _at_once(landscape, z, scale, stop)
    if found is None:
        found = _by_calls(landscape, z, scale, stop)
    top, values = found
    return domain.snap(top), values


def _at_once(
    landscape: Landscape, z: Tensor, scale: Tensor, stop: Stop
) -> tuple[Tensor, Tensor] | None:
    """The climb in the columns of the encoding, by the acquisition itself, if it can."""
    domain = landscape.domain
    if not domain.n_discrete:
        low, high = (end.expand_as(z) for end in landscape.ends)
        return landscape.acquisition.climb(z, (low, high), scale, stop)
    x = domain.embed(z)
    moves = domain.continuous[domain.groups]
    if domain.generations:
        moves = moves & domain.active(z)[:, domain.groups]
    low, high = (end[domain.groups] for end in landscape.ends)
    lower, upper = torch.where(moves, low, x), torch.where(moves, high, x)
    found = landscape.acquisition.climb(x, (lower, upper), scale[domain.groups], stop)
    if found is None:
        return None
    # A coordinate that moves has one column; of the others none has changed.
    top = z.clone()
    at = domain.continuous[domain.groups].nonzero().squeeze(1)
    where = domain.groups[at]
    top[:, where] = torch.where(moves.expand_as(x)[:, at], found[0][:, at], z[:, where])
    return top, found[1]


def _by_calls(landscape: Landscape, z: Tensor, scale: Tensor, stop: Stop) -> tuple[Tensor, Tensor]:
    domain, free = landscape.domain, landscape.domain.continuous

    def downhill(u: Tensor) -> tuple[Tensor, Tensor]:
        point = (u * scale).requires_grad_()
        with torch.enable_grad():
            value = landscape.acquisition(domain.embed(point).unsqueeze(1))
            (slope,) = torch.autograd.grad(value.sum(), point)
        # Bounds hold discrete coordinates still; a slope of 0 keeps them out of the curvature too.
        return -value.detach(), torch.where(free, -slope * scale, 0.0)

    low, high = landscape.ends
    lower = torch.where(free, low, z) / scale
    upper = torch.where(free, high, z) / scale
    settings = Settings(
        max_iter=stop.iterations,
        gradient_tolerance=stop.gradient,
        value_tolerance=stop.gain,
    )
    found = minimize(downhill, z / scale, lower, upper, settings)
    values = torch.where(torch.isfinite(found.value), -found.value, -torch.inf)
    return found.x * scale, values
