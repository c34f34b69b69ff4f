"""What the time buys: how high the fit and the maximization get, beside the peers' on the same.

Models differ between libraries, so their own values cannot be compared. Here everybody climbs ours:
the log posterior of our model's hyperparameters, and the log expected improvement of the belief
that our fit gives.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from benchmarks.ask.problem import PROBLEMS, Array, study
from gpbo.acquisition.analytic import LogExpectedImprovement
from gpbo.acquisition.base import Acquisition
from gpbo.acquisition.improvement import Goal, improvement
from gpbo.maximizer import Domain, Situation, propose
from gpbo.surrogate.evidence import Data, LogPosterior, encode
from gpbo.surrogate.fit import GROWTH, fit
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import Priors, default_priors
from gpbo.surrogate.target import standardize

RESTARTS = 10  # of the reference, from draws of the priors, besides their modes


def compare(name: str, n: int, d: int, seed: int) -> dict[str, Any]:
    """Values and seconds of everybody on one data set; runs in a process of its own."""
    x, values = study(PROBLEMS[name](d, seed), n, seed)
    y, _ = standardize(-torch.from_numpy(values))
    data, priors = Data.build(torch.from_numpy(x), y), default_priors(d)
    found, fits = _fits(data, priors, seed)
    steady = _steady(torch.from_numpy(x), torch.from_numpy(values), priors, seed)
    return {
        "problem": name,
        "n": n,
        "d": d,
        "seed": seed,
        "fit": fits,
        "steady": fits | {"gpbo": steady},
        "maximize": _maxima(data, found, seed),
    }


def _fits(data: Data, priors: Priors, seed: int) -> tuple[Hyperparameters, dict[str, Any]]:
    """What each search for hyperparameters reaches; our result too."""
    target = LogPosterior(data, priors)
    modes = Hyperparameters(
        (priors.lengthscale.mode,) * data.n_groups, priors.outputscale.mode, priors.noise.mode
    )
    ours, seconds = _timed(lambda: fit(data, priors, np.random.default_rng(seed))[0])
    rows = {"gpbo": {"value": _at(target, encode(ours, data.x)), "seconds": seconds}}
    for name, search in {"botorch": _fit_botorch, "reference": _fit_reference}.items():
        theta, seconds = _timed(partial(search, data, priors, modes, seed))
        if theta is not None:
            rows[name] = {"value": _at(target, theta), "seconds": seconds}
    return ours, rows


def _steady(x: Tensor, values: Tensor, priors: Priors, seed: int) -> dict[str, float]:
    """What our fit reaches at the end of a study in which every tell was followed by an ask.

    The study begins where the last search from all starts is as old as it gets.
    """
    n, warm, seconds = len(x), None, 0.0
    for k in range(max(1, math.ceil(n / GROWTH)), n + 1):
        y, _ = standardize(-values[:k])
        data = Data.build(x[:k], y)
        search = partial(fit, data, priors, np.random.default_rng([seed, k]), warm=warm)
        (warm, _), seconds = _timed(search)
    return {"value": _at(LogPosterior(data, priors), encode(warm, x)), "seconds": seconds}


def _fit_botorch(data: Data, priors: Priors, start: Hyperparameters, seed: int) -> Tensor | None:
    """fit_gpytorch_mll on our model as a GPyTorch one."""
    try:
        from botorch.fit import fit_gpytorch_mll
    except ImportError:
        return None
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    model = GaussianProcess(priors=priors).gpytorch_model(data.x, data.y, start.to_dict())
    model.transform_inputs = lambda X: X  # what BoTorch's models have beside GPyTorch's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    parts = (
        model.covar_module.base_kernel.lengthscale,
        model.covar_module.outputscale,
        model.likelihood.noise,
    )
    return torch.cat([part.detach().flatten() for part in parts]).log()


def _fit_reference(data: Data, priors: Priors, start: Hyperparameters, seed: int) -> Tensor:
    """SciPy's L-BFGS-B to tight tolerances, from the modes and from RESTARTS draws."""
    target, rng = LogPosterior(data, priors), np.random.default_rng([seed, 1])
    bounds = np.log([(box.low, box.high) for box in priors.ranges(data.n_groups)])

    def negative(theta: Array) -> tuple[float, Array]:
        evidence = target(torch.from_numpy(theta).unsqueeze(0))
        value, slope = float(evidence.value), evidence.gradient.squeeze(0).numpy()
        if not np.isfinite(value):
            return 1e10, np.zeros_like(theta)
        return -value, -slope

    starts = [encode(start, data.x).numpy()]
    for _ in range(RESTARTS):
        draw = [
            *priors.lengthscale.draw(rng, data.n_groups),
            *priors.outputscale.draw(rng, 1),
            *priors.noise.draw(rng, 1),
        ]
        starts.append(np.clip(np.log(draw), *bounds.T))
    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-5}
    runs = [
        minimize(negative, at, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for at in starts
    ]
    return torch.from_numpy(min(runs, key=lambda run: run.fun).x)


def _maxima(data: Data, found: Hyperparameters, seed: int) -> dict[str, Any]:
    """What each search for the best point reaches."""
    posterior = GaussianPosterior.build(data, found)
    best = float(posterior.mean_variance(data.x)[0].max())
    nothing = data.x[:0]
    goal = Goal(best=best, noise=0.0, success=None, least=0.0, even=0.5, base_samples=nothing)
    acquisition = improvement(posterior, goal, nothing)  # log EI, as fast as the strategy has it
    judge = LogExpectedImprovement(posterior, best)
    searches: dict[str, Callable[..., Tensor | None]] = {
        "gpbo": _maximize_gpbo,
        "botorch": _maximize_botorch,
        "optuna": _maximize_optuna,
    }
    rows = {}
    for name, search in searches.items():
        point, seconds = _timed(partial(search, acquisition, data, posterior.lengthscale, seed))
        if point is not None:
            with torch.no_grad():
                value = float(judge(point.view(1, 1, -1)))
            rows[name] = {"value": value, "seconds": seconds}
    return rows


def _maximize_gpbo(acquisition: Acquisition, data: Data, lengthscale: Tensor, seed: int) -> Tensor:
    d = data.x.shape[1]
    domain = Domain.build(["continuous"] * d, [None] * d, [-1] * d, [-1] * d)
    situation = Situation(data.x, data.y, data.x[:0], lengthscale)
    rng = np.random.default_rng(seed)
    point, _ = propose(lambda pending: acquisition, domain, 1, situation, rng)
    return domain.embed(point).squeeze(0)


def _maximize_botorch(
    acquisition: Acquisition, data: Data, lengthscale: Tensor, seed: int
) -> Tensor | None:
    """optimize_acqf with 10 restarts and 512 raw samples."""
    try:
        from botorch.acquisition import AcquisitionFunction
        from botorch.optim import optimize_acqf
    except ImportError:
        return None

    class Ours(AcquisitionFunction):  # type: ignore[misc]  # its base is not typed
        def forward(self, X: Tensor) -> Tensor:
            return acquisition(X)

    torch.manual_seed(seed)
    bounds = torch.stack([torch.zeros_like(data.x[0]), torch.ones_like(data.x[0])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        point, _ = optimize_acqf(
            Ours(model=torch.nn.Module()), bounds=bounds, q=1, num_restarts=10, raw_samples=512
        )
    return point.squeeze(0)


def _maximize_optuna(
    acquisition: Acquisition, data: Data, lengthscale: Tensor, seed: int
) -> Tensor | None:
    """The search of GPSampler: 2048 samples, the best known point, 10 climbs."""
    try:
        from optuna._gp.acqf import BaseAcquisitionFunc
        from optuna._gp.optim_mixed import optimize_acqf_mixed
        from optuna._gp.search_space import SearchSpace
        from optuna.distributions import FloatDistribution
        from optuna.logging import ERROR, set_verbosity
    except ImportError:
        return None

    class Ours(BaseAcquisitionFunc):  # type: ignore[misc]  # its base is not typed
        def eval_acqf(self, x: Tensor) -> Tensor:
            return acquisition(x.reshape(-1, 1, x.shape[-1])).reshape(x.shape[:-1])

    set_verbosity(ERROR)
    unit = FloatDistribution(0.0, 1.0)
    space = SearchSpace({str(j): unit for j in range(data.x.shape[1])})
    best = data.x[data.y.argmax()].unsqueeze(0).numpy()
    point, _ = optimize_acqf_mixed(
        Ours(lengthscale.numpy(), space),
        warmstart_normalized_params_array=best,
        rng=np.random.RandomState(seed),
    )
    return torch.from_numpy(point)


def _at(target: LogPosterior, theta: Tensor) -> float:
    return float(target(theta.unsqueeze(0)).value)


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = run()
    return result, time.perf_counter() - began
