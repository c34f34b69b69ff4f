"""From many starts uphill at once, over the continuous coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from gpbo.lbfgsb import Settings as Stop
from gpbo.lbfgsb import minimize
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

    def downhill(u: Tensor) -> tuple[Tensor, Tensor]:
        point = (u * scale).requires_grad_()
        with torch.enable_grad():
            value = landscape.acquisition(domain.embed(point).unsqueeze(1))
            (slope,) = torch.autograd.grad(value.sum(), point)
        # Bounds hold discrete coordinates still; a slope of 0 keeps them out of the curvature too.
        return -value.detach(), torch.where(free, -slope * scale, 0.0)

    lower = torch.where(free, 0.0, z) / scale
    upper = torch.where(free, 1.0, z) / scale
    settings = landscape.settings
    stop = Stop(
        max_iter=settings.steps,
        gradient_tolerance=settings.gradient_tolerance,
        value_tolerance=settings.value_tolerance,
    )
    found = minimize(downhill, z / scale, lower, upper, stop)
    values = torch.where(torch.isfinite(found.value), -found.value, -torch.inf)
    return domain.snap(found.x * scale), values
