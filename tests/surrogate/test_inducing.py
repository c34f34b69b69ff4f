"""The belief through inducing points, against the dense formulas of what it stands for."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Matern

from gpbo.errors import StudyError
from gpbo.seeding import generator
from gpbo.surrogate import inducing as module
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.fit import fit
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.inducing import best_and_others, inducing_posterior
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import default_priors
from tests.surrogate.data import problem, values

Array = NDArray[np.float64]


class Dense:
    """All the covariances of the model, written out: n x n, and inverted as they are."""

    def __init__(self, data: Data, v: Hyperparameters, count: int, base: int) -> None:
        self.s, self.kernel = v.outputscale, Matern(np.array(v.lengthscale), nu=2.5)
        x, y = data.x.numpy(), data.y.numpy()
        noise = (data.known + v.noise * data.unknown).numpy()
        chosen = best_and_others(data.y[:base], count, generator(base, "inducing points"))
        self.z, self.base, self.x = x[chosen.numpy()], base, x
        seen = self.through(x[:base], x[:base])
        np.fill_diagonal(seen, self.s + noise[:base])
        ones, inverse = np.ones(base), np.linalg.inv(seen)
        self.mean = (ones @ inverse @ y[:base]) / (ones @ inverse @ ones)
        new = x[base:]
        beside = self.through(x[:base], new)
        corner = self.exact(new, new) + np.diag(noise[base:])
        self.inverse = np.linalg.inv(np.block([[seen, beside], [beside.T, corner]]))
        self.left = y - self.mean

    def exact(self, a: Array, b: Array) -> Array:
        return self.s * np.asarray(self.kernel(a, b))

    def through(self, a: Array, b: Array) -> Array:
        """The covariance of a and b as the values at z transmit it."""
        return self.exact(a, self.z) @ np.linalg.solve(
            self.exact(self.z, self.z), self.exact(self.z, b)
        )

    def joint(self, at: Array) -> tuple[Array, Array]:
        old, new = np.split(self.x, [self.base])
        cross = np.hstack([self.through(at, old), self.exact(at, new)])
        return (
            self.mean + cross @ self.inverse @ self.left,
            self.exact(at, at) - cross @ self.inverse @ cross.T,
        )


def some(n: int, d: int, known: bool = False) -> Data:
    x, y = problem(n, d)
    noise = torch.full((n,), torch.nan, dtype=torch.float64)
    noise[: n // 3] = 0.02
    return Data.build(x, y, noise if known else None)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("later", [0, 6])
def test_mean_and_covariance_equal_the_dense_formulas(later: int, known: bool) -> None:
    data, v, base = some(60, 3, known), values(3), 60 - later
    found = inducing_posterior(data, replace(v, fitted=base), 20)
    assert found.x.shape == (20 + later, 3)
    at = problem(7, 3, seed=4)[0]
    mean, covariance = Dense(data, v, 20, base).joint(at.numpy())
    for ours, theirs in zip(found.joint(at), (mean, covariance), strict=True):
        torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-7, atol=1e-8)
    alone = found.mean_variance(at)
    torch.testing.assert_close(alone[0], torch.from_numpy(mean), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(alone[1], torch.from_numpy(covariance.diagonal().copy()))


def test_with_every_observation_as_an_inducing_point_it_is_exact() -> None:
    data, v = some(40, 2), values(2)
    at = problem(9, 2, seed=4)[0]
    through, exact = inducing_posterior(data, v, 40), GaussianPosterior.build(data, v)
    for ours, theirs in zip(through.joint(at), exact.joint(at), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_it_knows_more_than_the_same_points_alone() -> None:
    data, v = some(300, 2), values(2)
    at, truth = problem(200, 2, seed=4)
    through = inducing_posterior(data, v, 40)
    chosen = best_and_others(data.y, 40, generator(300, "inducing points"))
    alone = GaussianPosterior.build(data.rows(chosen.numpy()), v)
    error = [(p.mean(at) - truth).square().mean() for p in (through, alone)]
    assert error[0] < error[1]
    assert (through.mean_variance(at)[1] <= alone.mean_variance(at)[1] + 1e-9).all()


def test_more_observations_can_be_believed_and_the_belief_conditioned() -> None:
    data, v = some(60, 2), values(2)
    belief = inducing_posterior(data, v, 20)
    x = problem(3, 2, seed=9)[0]
    mean, variance = belief.condition(x, None).mean_variance(x)
    torch.testing.assert_close(mean, belief.mean(x), rtol=1e-8, atol=1e-8)
    assert (variance < belief.mean_variance(x)[1]).all()


def test_what_is_at_hand_changes_no_bit_and_four_are_kept() -> None:
    x, y = problem(90, 2)
    v = replace(values(2), fitted=70)
    grown = [Data.build(x[:n], (y[:n] - n) / n) for n in (70, 75, 90)]  # other targets at each tell
    alone = []
    for data in grown:
        module._recent.clear()
        alone.append(inducing_posterior(data, v, 30))
    module._recent.clear()
    for data, before in zip(grown, alone, strict=True):
        at_hand = inducing_posterior(data, v, 30)
        assert torch.equal(at_hand.weights, before.weights)
        assert torch.equal(at_hand.inverse_lower, before.inverse_lower)
        assert len(module._recent) == 1
    for noise in (0.1, 0.2, 0.3, 0.4, 0.5):
        inducing_posterior(grown[0], replace(v, noise=noise), 30)
    assert len(module._recent) == 4


def test_points_that_coincide_are_no_trouble() -> None:
    x, y = problem(50, 2)
    x[10:30] = x[3]
    x[30:40] = x[4] + 1e-9
    mean, variance = inducing_posterior(Data.build(x, y), values(2), 20).mean_variance(x)
    assert torch.isfinite(mean).all()
    assert (variance > 0).all()


def test_many_observations_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    data, v = some(60, 2), values(2)
    at = problem(5, 2, seed=3)[0]
    whole = inducing_posterior(data, v, 20).mean_variance(at)
    monkeypatch.setattr(module, "BLOCK", 7)
    module._recent.clear()
    for ours, theirs in zip(inducing_posterior(data, v, 20).mean_variance(at), whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_half_are_the_best_and_the_others_come_at_random_in_their_order() -> None:
    y = torch.tensor([0.1, 5.0, 0.2, 4.0, 0.3, 3.0, 0.4, 2.0]).double()
    kept = best_and_others(y, 4, generator(0, "test"))
    assert {1, 3} <= set(kept.tolist())
    assert len(set(kept.tolist())) == 4
    assert kept.tolist() == sorted(kept.tolist())
    assert best_and_others(y, 8, generator(0, "test")).tolist() == list(range(8))


def test_of_equal_observations_any_may_be_chosen() -> None:
    labels = torch.ones(400).double()
    labels[::4] = 0.0
    kept = best_and_others(labels, 100, generator(0, "test")).numpy()
    assert len(kept) == 100
    assert 100 < np.median(kept) < 300


def test_a_process_with_more_than_the_most_observations_is_seen_through_half_as_many() -> None:
    x, y = problem(120, 2)
    some_of = GaussianProcess(most=60)
    fitted = some_of.fit(x, y, generator(0, "fit"))
    posterior = fitted.posterior
    assert isinstance(posterior, GaussianPosterior)
    assert len(posterior.x) == 30
    assert fitted.report["inducing"] == 30
    assert fitted.memory["fitted"] == 120
    again = some_of.posterior(x, y, fitted.memory)
    assert torch.equal(again.weights, posterior.weights)
    few = GaussianProcess(most=120).fit(x, y, generator(0, "fit"))
    assert few.report["inducing"] is None
    assert len(few.posterior.x) == 120  # type: ignore[attr-defined]  # it is a GaussianPosterior


def test_a_process_must_be_exact_for_two_observations_at_least() -> None:
    with pytest.raises(ValueError, match="GaussianProcess most"):
        GaussianProcess(most=1)
    with pytest.raises(TypeError, match="GaussianProcess most"):
        GaussianProcess(most=2.5)  # type: ignore[arg-type]  # that is the point
    x, y = problem(9, 1)
    assert GaussianProcess(most=2).fit(x, y, generator(0, "fit")).report["inducing"] == 1


def test_hyperparameters_of_another_space_are_refused() -> None:
    with pytest.raises(StudyError, match="not a lengthscale for each of 3"):
        inducing_posterior(some(30, 3), values(2), 10)


def test_hyperparameters_of_many_come_from_some_drawn_at_random() -> None:
    x, y = problem(120, 2)
    data, priors = Data.build(x, y), default_priors(2)

    def learned(most: int | None, seed: int) -> Hyperparameters:
        return fit(data, priors, generator(seed, "fit"), most=most)[0]

    assert learned(30, 0) == learned(30, 0)
    assert learned(30, 0) != learned(30, 1)
    assert learned(120, 0) == learned(None, 0)
    assert learned(30, 0).searched == learned(30, 0).fitted == 120


def test_gradients_equal_differences() -> None:
    belief = inducing_posterior(some(60, 2), values(2), 20)
    x = problem(4, 2, seed=5)[0]
    assert torch.autograd.gradcheck(lambda z: belief.mean_variance(z)[1], x.requires_grad_())
    assert torch.autograd.gradcheck(belief.mean, x)


def test_the_mean_keeps_its_digits_where_inducing_points_crowd_and_noise_is_small() -> None:
    """Against the dense formula in 40 digits; sums of n / noise must not cancel in float64."""
    rng = np.random.default_rng(0)
    n, count, scale, noise = 60, 30, 1.7, 1e-8
    x = rng.random((n, 2))
    x[n // 3 :] = 0.4 + 0.01 * rng.standard_normal((n - n // 3, 2))
    y = -np.square(x - 0.4).sum(1)
    y = (y - y.mean()) / y.std()
    data = Data.build(torch.from_numpy(x), torch.from_numpy(y))
    v = Hyperparameters((0.5, 0.5), scale, noise, fitted=n)
    found = inducing_posterior(data, v, count)
    z = x[best_and_others(data.y, count, generator(n, "inducing points")).numpy()]

    with mpmath.workdps(40):

        def kernel(a: Array, b: Array) -> mpmath.matrix:
            out = mpmath.matrix(len(a), len(b))
            for i, p in enumerate(a.tolist()):
                for j, q in enumerate(b.tolist()):
                    s = (
                        2
                        * mpmath.sqrt(5)
                        * mpmath.hypot(*(u - v for u, v in zip(p, q, strict=True)))
                    )
                    out[i, j] = scale * (1 + s + s * s / 3) * mpmath.exp(-s)
            return out

        cross, prior = kernel(z, x), kernel(z, z)
        through = cross.T * mpmath.inverse(prior) * cross
        for i in range(n):
            through[i, i] = mpmath.mpf(scale) + noise
        sides = mpmath.matrix([[1, value] for value in y.tolist()])
        solved = mpmath.inverse(through) * sides
        mean = sum(solved[i, 1] for i in range(n)) / sum(solved[i, 0] for i in range(n))
        at = rng.random((3, 2))
        left = mpmath.matrix([solved[i, 1] - mean * solved[i, 0] for i in range(n)])
        weights = mpmath.lu_solve(prior, cross * left)
        expected = [float(mean + value) for value in kernel(at, z) * weights]
    assert found.constant == pytest.approx(float(mean), abs=1e-4)
    np.testing.assert_allclose(found.mean(torch.from_numpy(at)).numpy(), expected, atol=1e-4)
