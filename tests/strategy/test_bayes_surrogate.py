"""The Bayesian strategy with a surrogate of the user's own, through ask and tell."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.kernels import Kernel, RBFKernel, ScaleKernel
from gpytorch.priors import GammaPrior, LogNormalPrior
from torch import Tensor

import gpbo
from gpbo.errors import FallbackWarning
from gpbo.seeding import generator
from gpbo.surrogate.base import Fitted, Posterior, Surrogate
from gpbo.surrogate.custom import CustomSurrogate
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.prior import Gamma, LogNormal, Priors

SPACE = {"x": gpbo.Float(-5, 10), "y": gpbo.Float(0, 15)}


def branin(p: Mapping[str, Any]) -> float:
    """Branin 1972; the minimum is 0.397887."""
    x, y = p["x"], p["y"]
    bent = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(bent**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def rbf(d: int) -> Kernel:
    kernel = RBFKernel(ard_num_dims=d, lengthscale_prior=LogNormalPrior(0.0, 1.0))
    return ScaleKernel(kernel, outputscale_prior=GammaPrior(2.0, 1.0))


def study(surrogate: Any = rbf, space: Any = None, **options: Any) -> gpbo.Optimizer:
    strategy = gpbo.Bayes(start=4, surrogate=surrogate)
    return gpbo.Optimizer(space or SPACE, strategy=strategy, **{"seed": 0, **options})


def run(opt: gpbo.Optimizer, n: int) -> gpbo.Trial:
    for _ in range(n):
        trial = opt.ask()
        assert trial is not None
        opt.tell(trial, branin(trial.params))
    return opt.trials[-1]


@pytest.mark.slow
def test_a_kernel_of_the_users_own_beats_random_clearly() -> None:
    best: dict[str, list[float]] = {"own": [], "random": []}
    for seed in range(3):
        for name, strategy in (("own", gpbo.Bayes(surrogate=rbf)), ("random", "random")):
            result = gpbo.minimize(branin, SPACE, 28, strategy=strategy, seed=seed)
            best[name].append(result.best_value - 0.397887)
    assert (np.array(best["own"]) < best["random"]).all(), best
    assert np.median(best["own"]) < 0.1 * np.median(best["random"]), best


@pytest.mark.parametrize(
    "surrogate",
    [
        rbf,
        ScaleKernel(RBFKernel()),
        CustomSurrogate.from_kernel(rbf, mean=gpytorch.means.ZeroMean()),
        CustomSurrogate(CustomSurrogate.from_kernel(rbf).model),
    ],
)
def test_kernels_and_surrogates_propose(surrogate: Any) -> None:
    last = run(study(surrogate), 6)
    assert last.provenance["phase"] == "model"
    assert last.provenance["fallback"] is None


def test_provenance_says_what_was_learned_in_json() -> None:
    last = run(study(), 6)
    told = json.loads(json.dumps(last.provenance, allow_nan=False))
    assert told == last.provenance
    assert told["sd"] > 0
    assert told["fit"]["starts"] >= 1
    names = set(told["memory"]["values"]["parameters"])
    assert "covar_module.base_kernel.raw_lengthscale" in names


def test_the_next_fit_starts_warm() -> None:
    opt = study()
    run(opt, 12)
    fits = [trial.provenance["fit"]["starts"] for trial in opt.trials[4:]]
    assert fits[0] == 5  # as made, and four draws
    assert 1 in fits[1:]


def test_a_resumed_study_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = study()
    run(whole, 7)
    file = {"storage": str(tmp_path / "study.db"), "study": "s"}
    for trials in (5, 2):
        part = study(**file, resume=True)
        run(part, trials)
    assert [t.params for t in part.trials] == [t.params for t in whole.trials]
    ours, theirs = (opt.trials[-1].provenance["memory"] for opt in (part, whole))
    assert ours == theirs


def test_random_weights_are_the_same_in_every_process() -> None:
    """The function that makes a model may take torch's random numbers; they are seeded for it."""
    opts = []
    for state in range(2):
        torch.manual_seed(state)
        surrogate = CustomSurrogate.from_kernel(rbf, mean=lambda d: gpytorch.means.LinearMean(d))
        opts.append(study(surrogate))
        before = torch.get_rng_state()
        run(opts[-1], 5)
        assert torch.equal(before, torch.get_rng_state())
    assert [t.params for t in opts[0].trials] == [t.params for t in opts[1].trials]


def test_pending_trials_failures_and_categories_are_part_of_it() -> None:
    """All that a default study can, on the way that is not compiled."""
    seen = []

    def watched(d: int) -> Kernel:
        seen.append(d)
        return rbf(d)

    opt = study(watched, {**SPACE, "kind": ["a", "b", "c"], "flag": gpbo.Bool()})
    waiting = []
    for number in range(4):
        for trial in opt.ask(2):
            if trial.number == 5:
                waiting.append(trial)
            elif trial["kind"] == "c" or trial.number == 1:
                opt.tell(trial, failed=True)
            else:
                opt.tell(trial, branin(trial.params) + number, noise=0.1 if number else None)
    trials = opt.ask(3)
    assert set(seen) == {6}  # two numbers, one column for each kind, one for the flag
    assert len({tuple(t.params.values()) for t in opt.trials}) == 11
    assert [t.number for t in opt.pending] == [5, 8, 9, 10]
    assert all(t.provenance["phase"] == "model" for t in trials)
    assert all(t.provenance["fallback"] is None for t in trials)
    assert trials[0].provenance["memory"]["success"] is not None
    assert opt.recommend() in [t.params for t in opt.trials]


def test_another_memory_in_the_log_is_no_obstacle() -> None:
    """A study that changes its surrogate under way."""
    opt = gpbo.Optimizer(SPACE, strategy=gpbo.Bayes(start=4), seed=0)
    run(opt, 6)
    for strategy in (gpbo.Bayes(start=4, surrogate=rbf), gpbo.Bayes(start=4)):
        proposal = strategy.propose(opt._journal.history, 1, 0)[0]
        assert proposal.provenance["phase"] == "model"
        assert proposal.provenance["fallback"] is None
        opt.add(proposal.params, branin(proposal.params))


def test_the_default_surrogate_can_be_given_with_other_priors() -> None:
    priors = Priors(LogNormal(0.0, 0.5), Gamma(2.0, 1.0), LogNormal(-6.0, 1.0))
    last = run(study(GaussianProcess(priors=priors), {**SPACE, "kind": ["a", "b", "c"]}), 6)
    assert last.provenance["phase"] == "model"
    assert len(last.provenance["memory"]["values"]["lengthscale"]) == 5  # one for each column


class Flat(Posterior):
    """Zero everywhere, with a variance of 1: the least that a posterior can be."""

    def mean_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 0.0 * x.sum(-1), torch.ones_like(x[..., 0])

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 0.0 * x.sum(-1), torch.eye(x.shape[-2]).double().expand(*x.shape[:-1], -1)

    def condition(self, x: Tensor, y: Tensor | None) -> Posterior:
        return self


class Ignorant(Surrogate):
    """Learns nothing and remembers nothing."""

    def fit(self, x: Tensor, y: Tensor, rng: np.random.Generator, **others: Any) -> Fitted:
        return Fitted(Flat(), {}, {})

    def posterior(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], **others: Any
    ) -> Posterior:
        return Flat()


def test_a_surrogate_needs_to_remember_nothing() -> None:
    opt = study(Ignorant())
    run(opt, 5)
    assert [t.provenance["phase"] for t in opt.ask(2)] == ["model", "model"]
    assert opt.recommend() in [t.params for t in opt.trials]


@pytest.mark.parametrize("surrogate", [3, "rbf", RBFKernel, gpytorch.means.ZeroMean()])
def test_what_is_no_surrogate_is_refused_where_it_is_written(surrogate: Any) -> None:
    with pytest.raises(TypeError, match="surrogate: kernel: unknown"):
        gpbo.Bayes(surrogate=surrogate)


def test_a_kernel_for_other_columns_is_a_mistake_and_no_fallback() -> None:
    opt = study(RBFKernel(ard_num_dims=3))
    run(opt, 4)
    with pytest.raises(TypeError, match="the model takes no x of 2 columns"):
        opt.ask()


class Breaking(RBFKernel):
    """Works on two points, which is how a model is looked at, and not on more."""

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        if len(x1) > 2:
            raise torch.linalg.LinAlgError("singular")
        covariance: Tensor = super().forward(x1, x2, diag=diag, **params)
        return covariance


def test_numerical_trouble_falls_back_and_says_so() -> None:
    opt = study(lambda d: Breaking())
    run(opt, 4)
    with pytest.warns(FallbackWarning, match="singular"):
        trial = opt.ask()
    assert trial is not None
    assert "the model failed on cpu" in trial.provenance["fallback"]


def test_a_default_study_never_imports_gpytorch() -> None:
    program = """
import sys, warnings
warnings.simplefilter("error")
import gpbo
opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, seed=0)
for k in range(7):
    trial = opt.ask()
    opt.tell(trial, trial["x"]) if k else opt.tell(trial, failed=True)
assert opt.ask(2)[0].provenance["phase"] == "model"
opt.recommend()
assert "gpytorch" not in sys.modules and "linear_operator" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_known_noise_reaches_the_model() -> None:
    x = torch.linspace(0, 1, 8, dtype=torch.float64).unsqueeze(-1)
    noise = torch.full((8,), 0.3, dtype=torch.float64)
    fitted = CustomSurrogate.from_kernel(rbf).fit(x, x[:, 0], generator(0, "fit"), noise=noise)
    gap = fitted.posterior.condition(x[:1], None).mean_variance(x)[1]
    assert (gap <= fitted.posterior.mean_variance(x)[1] + 1e-9).all()
    opts = study(), study()
    for opt, sd in zip(opts, (None, 50.0), strict=True):
        for k in range(6):
            opt.add({"x": 2.5 * k - 5, "y": 7.5}, float(k == 3) * 10, noise=sd if k == 3 else None)
    ours, theirs = (opt.ask().provenance for opt in opts)  # type: ignore[union-attr]
    assert ours["memory"] != theirs["memory"]


def test_a_surrogate_works_inside_inference_mode() -> None:
    with torch.inference_mode():
        last = run(study(), 7)
    assert last.provenance["phase"] == "model"
