"""From the points that a search has found to proposals: new to the study, with what is thought."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from gpbo.history import History
from gpbo.seeding import generator
from gpbo.space import Params
from gpbo.strategy.base import Proposal
from gpbo.strategy.belief import Belief
from gpbo.strategy.random import Fresh

LARGEST = 1e300  # of a value that is recorded: JSON has no infinity
BESIDE = "beside"  # in the provenance: another model has proposed in the same ask
INSTEAD = "no candidate was new: random"


def new_proposals(
    history: History,
    belief: Belief,
    before: list[Proposal],
    found: tuple[Tensor, Tensor],
    n: int,
    seed: int,
    about: dict[str, Any],
    greedy: int,
) -> list[Proposal]:
    """n proposals that are new to the study and not `before` in this ask; fewer where no more are.

    `about` goes into every provenance; the rule is "log_ei" for the first `greedy` ones, then
    "thompson". A random point stands in for each that is not new or not there; it has no value.

    Shapes   found: points (k, p), in the order of the batch, and their values (k,)
    """
    params, worth = _distinct(history, before, found, n, seed)
    if not params:
        return []
    rows = np.array([history.space.to_row(one) for one in params])
    x = belief.domain.embed(belief.domain.snap(found[0].new_tensor(rows)))
    mean, variance = belief.posterior.mean_variance(x)
    mean, sd = belief.target.to_values(mean, variance.sqrt())
    made: list[dict[str, Any]] = [
        {
            **about,
            "rule": "random" if value is None else "log_ei" if k < greedy else "thompson",
            "mean": belief.sign * m,
            "sd": s,
            "acquisition": value,
            **({"fallback": about.get("fallback") or INSTEAD} if value is None else {}),
        }
        for k, (m, s, value) in enumerate(zip(mean.tolist(), sd.tolist(), worth, strict=True))
    ]
    # Once for each ask: the next fit starts from here.
    made[0] |= {"memory": belief.memory(), "fit": belief.values.report}
    return [Proposal(*pair) for pair in zip(params, made, strict=True)]


def flat(history: History) -> bool:
    """Whether no trial says where to go, so that the space is to be filled evenly: all values are
    equal, and none failed beside one that did not.
    """
    values = {trial.value for trial in history.complete}
    return not values or (len(values) == 1 and not history.failed)


def asks(history: History) -> int:
    """How many times somebody asked: what models proposed in one batch counts once.

    The first that a model proposes holds its memory, and where another has proposed in the same
    ask, it is `BESIDE` that. Counted in trials, an ask for three would always be the third, or
    never.
    """
    made = (trial.provenance for trial in history.trials)
    models = (one for one in made if one.get("phase") == "model")
    return len(history) - sum("memory" not in one or BESIDE in one for one in models)


def _distinct(
    history: History, before: list[Proposal], found: tuple[Tensor, Tensor], n: int, seed: int
) -> tuple[list[Params], list[float | None]]:
    points, values = (tensor.cpu().numpy() for tensor in found)
    fresh = Fresh(history)
    for proposal in before:
        fresh.add(history.space.to_row(proposal.params))
    known, first = len(fresh.params), len(history) + len(before)
    worth: list[float | None] = []
    for k in range(n):
        # A long integer range is continuous to the maximizer: two points may be one value.
        if k < len(points) and fresh.add(points[k]):
            worth.append(float(values[k].clip(-LARGEST, LARGEST)))
        elif fresh.add_random(generator(seed, "instead", first + k)):
            worth.append(None)
        else:
            break  # nothing is left
    return fresh.params[known:], worth
