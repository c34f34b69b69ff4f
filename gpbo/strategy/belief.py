"""From a history to what a model believes: the user's trials become tensors, and a fit is made.

Here the towers meet. Values are turned so that larger is better, and standardized; a predicted mean
goes the other way. Below this file nothing knows of trials, above it nothing knows of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpbo.history import History
from gpbo.maximizer import Domain
from gpbo.maximizer.domain import CATEGORY
from gpbo.seeding import generator
from gpbo.space import Space
from gpbo.space.encode import describe
from gpbo.surrogate.base import Fitted, Posterior, Surrogate
from gpbo.surrogate.evidence import LEAST_NOISE
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.inducing import best_and_others
from gpbo.surrogate.prior import (
    Priors,
    default_priors,
    expecting_noise,
    label_priors,
    lengthscales,
)
from gpbo.surrogate.rivals import Rivals
from gpbo.surrogate.target import Target, standardize
from gpbo.trial import Trial

BLOCK = 4096  # trials whose means are computed at once: more may not fit into memory
# Where every coordinate has levels, no two trials are nearer than a step: a lengthscale below that
# explains whatever noise would. So noise is expected there, and the lengthscale stays above STEPS
# steps, or above MOST_SHORT where there are so few that this is less.
# Decisions 18 and 20 in docs have the measurements.
STEPS, MOST_SHORT = 2, 0.5
# A predicted label, 1 for success and 0 for failure, from which on success is sure. Decision 23 in
# docs has the measurements.
SURE = 0.95


@dataclass(frozen=True)
class Belief:
    """What a fit to a history says.

    Shapes   tried (n, p) and quality (n,): every trial that ended, nan where it failed;
             pending (m, p); rows in the order of `History.complete`, then `History.failed`
    """

    domain: Domain
    tried: Tensor
    quality: Tensor
    pending: Tensor
    values: Fitted  # of the objective, as targets
    success: Fitted | None  # of labels, 1 where a trial succeeded; None where all did
    target: Target
    observations: int  # that the objective's model has seen
    noise: float  # variance that one more observation is likely to have, as a target
    sign: float  # -1 where the user minimizes
    overview: bool  # targets are scaled by the trials that are apart, not by a crowd

    @property
    def posterior(self) -> Posterior:
        """The belief about targets."""
        return self.values.posterior

    def means(self) -> Tensor:
        """The posterior mean at every complete trial, in the order of `History.complete`."""
        return self._means(self.posterior)

    @cached_property
    def even(self) -> float:
        """The predicted label that counts as even odds of success: 0.5, unless trials fail by luck.

        Where success is SURE for a tenth of the trials that succeeded, others fail because of where
        they are. Else trials fail anywhere, and half of what is predicted at the median of the
        successful ones is half of what ground is like.
        """
        if self.success is None:
            return 0.5
        labels = self._means(self.success.posterior).sort().values
        if float(labels[int(0.9 * len(labels))]) >= SURE:
            return 0.5
        return 0.5 * max(float(labels[len(labels) // 2]), 0.0)

    def _means(self, posterior: Posterior) -> Tensor:
        points = self.domain.embed(self.tried[~torch.isnan(self.quality)])
        blocks = (points[k : k + BLOCK] for k in range(0, len(points), BLOCK))
        return torch.cat([posterior.mean(block) for block in blocks])

    @property
    def lengthscale(self) -> Tensor | None:
        """The lengthscale of each coordinate, where the surrogate remembers one for each: (p,)."""
        found = self.values.memory.get("lengthscale")
        if not isinstance(found, list) or len(found) != self.domain.p:
            return None
        return self.tried.new_tensor(found)

    def memory(self) -> dict[str, Any]:
        """What the next fit starts from; JSON values."""
        success = None if self.success is None else self.success.memory
        return {"values": self.values.memory, "success": success, "overview": self.overview}


@lru_cache(maxsize=8)
def _priors(domain: Domain, failures: bool) -> Priors:
    """What is believed of the objective before it is observed.

    Where trials failed noise is expected as well: a model that is sure to the last digit soon has
    nothing to gain on the good side of a wall, and 8 % of the later trials failed, not 5 %.
    """
    priors = default_priors(domain.p)
    if failures or domain.size is not None:
        priors = expecting_noise(priors)
    if domain.size is None:
        return priors
    shortest = (STEPS * domain.spacing).clamp(max=MOST_SHORT)
    return replace(priors, shortest=tuple(shortest.tolist()))


@lru_cache(maxsize=8)
def _plain_categories(domain: Domain) -> Tensor:
    """Which coordinates are categories that decide between no branches, which have little in
    common: bool (p,).
    """
    parents = domain.parent[domain.parent >= 0]
    return (domain.kind == CATEGORY).index_fill(0, parents, False)


def _compete(domain: Domain, good: Tensor) -> bool:
    """Whether categories may have long lengthscales instead.

    Where every coordinate has levels no distance between trials tells noise from signal. And of a
    value with which no trial succeeded nothing is known but how alike categories are.

    Shapes   good (n, p): the trials that succeeded
    """
    plain = _plain_categories(domain).nonzero().squeeze(-1).tolist()
    if domain.size is not None:
        return bool(plain)
    values = good[:, plain].cpu().numpy()
    tried = [len(np.unique(column[~np.isnan(column)])) for column in values.T]
    return any(seen < int(domain.count[j]) for seen, j in zip(tried, plain, strict=True))


@lru_cache(maxsize=8)
def _model(domain: Domain, failures: bool, most: int | None, compete: bool) -> Surrogate:
    """What models the objective by default."""
    priors = _priors(domain, failures)
    usual = GaussianProcess(groups=domain.groups, priors=priors, most=most)
    if not compete:
        return usual
    long = replace(priors, own=lengthscales(_plain_categories(domain).tolist()))
    return Rivals(usual, replace(usual, priors=long))


@lru_cache(maxsize=8)
def domain_of(space: Space, device: torch.device) -> Domain:
    """The search set of a space, in tensor terms."""
    columns = describe(space)
    return Domain.build(
        [column.kind for column in columns],
        [column.levels for column in columns],
        [column.parent for column in columns],
        [column.branch for column in columns],
        device,
    )


def believe(
    history: History,
    seed: int,
    device: torch.device,
    memory: Mapping[str, Any] | None,
    surrogate: Surrogate | None = None,
    most: int | None = None,
    apart: Tensor | None = None,
) -> Belief:
    """Fit to everything in the history; `memory` is an earlier belief's, to start from.

    `surrogate` is what models the objective: by default a Gaussian process, or two. Whether a trial
    succeeds is always modeled by one, with the priors that labels need. Of more than `most` trials
    of a kind, the default model sees the others through inducing points (inducing.py), and another
    surrogate sees none of them: only the better half of so many, and others at random. The targets
    are scaled by the complete trials that are `apart` (crowd.py), None for all.

    Shapes   apart bool (n,), in the order of `History.complete`
    Needs    at least one complete trial
    Raises   what the fit raises
    """
    domain, complete = domain_of(history.space, device), history.complete
    good, lost = (_points(history, domain, trials) for trials in (complete, history.failed))
    y, target, noise = _targets(history, device, apart)
    memory = memory or {}

    model = surrogate or _model(domain, len(lost) > 0, most, _compete(domain, good))
    seen: Tensor | slice = slice(None)
    if surrogate is not None and most is not None:
        seen = best_and_others(y, most, generator(seed, "kept", len(history)))
    fitted = model.fit(
        domain.embed(good[seen]),
        y[seen],
        generator(seed, "fit", len(history)),
        noise=None if noise is None else noise[seen],
        warm=memory.get("values"),
    )
    success = None
    if len(lost):
        rng = generator(seed, "fit success", len(history))
        success = _fit_success(domain, good, lost, rng, memory.get("success"), most)
    return Belief(
        domain=domain,
        tried=torch.cat([good, lost]),
        quality=torch.cat([y, torch.full_like(lost[:, 0], torch.nan)]),
        pending=_points(history, domain, history.pending),
        values=fitted,
        success=success,
        target=target,
        observations=len(y[seen]),
        noise=_noise_of_one_more(noise, float(fitted.memory.get("noise", 0.0))),
        sign=history.sign,
        overview=apart is not None,
    )


def _points(history: History, domain: Domain, trials: list[Trial]) -> Tensor:
    """Where trials are: (n, p), snapped."""
    if not trials:
        return domain.levels.new_empty(0, domain.p)
    rows = history.rows[[trial.number for trial in trials]]
    return domain.snap(_numbers(rows, domain.kind.device))


def _targets(
    history: History, device: torch.device, apart: Tensor | None
) -> tuple[Tensor, Target, Tensor | None]:
    """The values of the complete trials as targets, how they were scaled, and the variances that
    were told, nan where none was; None: none at all.

    Shapes   -> (n,), Target, (n,)
    """
    complete = history.complete
    values = history.sign * _numbers([trial.value or 0.0 for trial in complete], device)
    y, target = standardize(values, apart)
    if all(trial.noise is None for trial in complete):
        return y, target, None
    sds = [np.nan if trial.noise is None else trial.noise for trial in complete]
    return y, target, target.noise_variance(_numbers(sds, device))


def _fit_success(
    domain: Domain,
    good: Tensor,
    lost: Tensor,
    rng: np.random.Generator,
    warm: Any,
    most: int | None,
) -> Fitted:
    """A fit to labels, 1 where trials succeeded and 0 where they failed.

    Shapes   good (n, p), lost (m, p)
    """
    labels = torch.cat([torch.ones_like(good[:, 0]), torch.zeros_like(lost[:, 0])])
    gp = GaussianProcess(groups=domain.groups, priors=label_priors(domain.p), most=most)
    return gp.fit(domain.embed(torch.cat([good, lost])), labels, rng, warm=warm)


def _numbers(values: Any, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device)


def _noise_of_one_more(known: Tensor | None, learned: float) -> float:
    """The median of the variances: those that were told, and the learned one for the others.

    Shapes   known (n,), nan where none was told; None: none at all
    """
    usual = learned if known is None else float(known.nan_to_num(nan=learned).median())
    return max(usual, LEAST_NOISE)
