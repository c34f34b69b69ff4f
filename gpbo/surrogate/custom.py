"""A model of the user's own, made of GPyTorch modules, as a surrogate.

Fitted by autograd (custom_fit.py), asked through closed forms (custom_posterior.py), in float64.
This file imports GPyTorch, so nothing imports it before a user hands in such a model.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel
from gpytorch.likelihoods import GaussianLikelihood, Likelihood
from gpytorch.likelihoods.gaussian_likelihood import _GaussianLikelihoodBase
from gpytorch.means import ConstantMean, Mean
from gpytorch.models import ExactGP
from torch import Tensor

from gpbo.errors import ShapeError, StudyError, explain
from gpbo.surrogate.base import Fitted, Surrogate
from gpbo.surrogate.custom_fit import NUMERICAL, Row, fit
from gpbo.surrogate.custom_posterior import ModelPosterior
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.model import LogRange
from gpbo.surrogate.prior import default_priors

# What a model is made of, and what a user may give for each. GPyTorch's name for the likelihoods
# that an exact model takes is a private one.
KINDS = {
    "kernel": (Kernel, "a kernel, or a function of the number of columns that makes one"),
    "mean": (Mean, "a mean, or a function of the number of columns that makes one"),
    "likelihood": (_GaussianLikelihoodBase, "a Gaussian likelihood, or a function that makes one"),
}
MODEL = "For a model use gpbo.surrogate.custom.CustomSurrogate(lambda x, y: MyModel(x, y))."


@dataclass(frozen=True, eq=False)
class CustomSurrogate(Surrogate):
    """Any gpytorch.models.ExactGP of one output, from a function that makes it for x and y.

    What the model says of x is taken from its `forward` and its likelihood; what it holds as
    parameters is learned, with the priors that are registered on it, and what it holds in other
    ways (buffers, frozen parameters) stays as the function made it.

    Shapes   model: x (n, d), y (n,) -> an ExactGP without batch dimensions
    Needs    the function gives the same model each time; it may take torch's random numbers, which
             are seeded for it. x is in the unit cube, y standardized: transforms of outcomes are
             passed over
    Raises   TypeError  if it is no such function
    """

    model: Callable[[Tensor, Tensor], ExactGP]

    def __post_init__(self) -> None:
        if isinstance(self.model, torch.nn.Module) or not _takes(self.model, 2):
            raise TypeError(
                explain(
                    "CustomSurrogate",
                    "no function that makes a model",
                    self.model,
                    expected="one of x and y, such as lambda x, y: MyModel(x, y)",
                    fix="For a kernel use CustomSurrogate.from_kernel.",
                )
            )

    @classmethod
    def from_kernel(
        cls,
        kernel: Kernel | Callable[[int], Kernel],
        *,
        mean: Mean | Callable[[int], Mean] | None = None,
        likelihood: Likelihood | Callable[[int], Likelihood] | None = None,
    ) -> CustomSurrogate:
        """A Gaussian process with this kernel.

        Each module is an object, copied for each fit, or a function that makes one for d, the
        number of columns of x. A kernel without a ScaleKernel around it has a variance of 1.

        Needs    mean None: a constant; likelihood None: noise with the default prior and range
        Raises   TypeError  if one of them is something else
        """
        _check_spec("kernel", kernel)
        if mean is not None:
            _check_spec("mean", mean)
        if likelihood is not None:
            _check_spec("likelihood", likelihood)
        return cls(partial(_from_modules, kernel, mean, likelihood))

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        rng: np.random.Generator,
        *,
        noise: Tensor | None = None,
        warm: Mapping[str, Any] | None = None,
    ) -> Fitted:
        """As promised by Surrogate.

        Raises   ShapeError        if the shapes do not fit together
                 ObservationError  if x or y is not finite, or a noise is negative
                 TypeError         if the function gives no such model, or the model takes no such x
        """
        data = Data.build(x, y, noise)
        model = _make(self.model, data)
        memory, report = fit(model, data, rng, warm=warm)
        posterior = ModelPosterior.build(model, data)
        return Fitted(posterior, {**memory, "noise": posterior.noise}, report.to_dict())

    def posterior(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> ModelPosterior:
        """As promised by Surrogate.

        Raises   StudyError  if memory is not what a fit of such a model gave
        """
        data = Data.build(x, y, noise)
        model = _make(self.model, data)
        row = Row.of(model, data.x)
        known = row.from_dict(memory.get("parameters"))
        if known is None:
            expected = f"numbers for {', '.join(row.names)}"
            raise StudyError(explain("parameters", "of another model", memory, expected=expected))
        row.write(known)
        return ModelPosterior.build(model, data)


class _KernelModel(ExactGP):
    """A mean and a kernel."""

    def __init__(self, x: Tensor, y: Tensor, mean: Mean, kernel: Kernel, likelihood: Any) -> None:
        super().__init__(x, y, likelihood)
        self.mean_module, self.covar_module = mean, kernel

    def forward(self, x: Tensor) -> MultivariateNormal:
        return MultivariateNormal(self.mean_module(x), self.covar_module(x))


def _from_modules(kernel: Any, mean: Any, likelihood: Any, x: Tensor, y: Tensor) -> ExactGP:
    d = x.shape[-1]
    kernel = _module("kernel", kernel, d)
    mean = ConstantMean() if mean is None else _module("mean", mean, d)
    likelihood = _likelihood(d) if likelihood is None else _module("likelihood", likelihood, d)
    return _KernelModel(x, y, mean, kernel, likelihood)


def _likelihood(d: int) -> GaussianLikelihood:
    """Noise with the prior and the range of the default surrogate, from the prior's mode on."""
    priors = default_priors(d)
    likelihood = GaussianLikelihood(
        noise_prior=priors.noise.module(), noise_constraint=LogRange(priors.noise_range)
    ).double()
    likelihood.noise = torch.tensor([priors.noise.mode]).double()
    return likelihood


def _module(name: str, spec: Any, d: int) -> Any:
    """The module that a spec means for d columns."""
    kind, expected = KINDS[name]
    made = spec if isinstance(spec, torch.nn.Module) else spec(d)
    if not isinstance(made, kind):
        raise TypeError(
            explain(
                f"surrogate: {name}", "the function made something else", made, expected=expected
            )
        )
    return made


def _make(factory: Callable[[Tensor, Tensor], ExactGP], data: Data) -> ExactGP:
    """The model in float64 on the device of the data, a copy of its own, looked at once."""
    with torch.random.fork_rng(devices=[]):  # many modules begin with random weights
        torch.default_generator.manual_seed(0)
        made = factory(data.x, data.y)
    if not isinstance(made, ExactGP):
        raise TypeError(
            explain("surrogate", "the function made no model", made, expected="an ExactGP")
        )
    if getattr(made, "input_transform", None) is not None:  # BoTorch's, applied in training only
        fix = "x is in the unit cube already; leave input_transform out."
        raise TypeError(explain("surrogate", "the model transforms its inputs", made, fix=fix))
    model: ExactGP = copy.deepcopy(made).to(data.x).eval()
    d = data.x.shape[-1]
    try:
        with torch.no_grad():
            belief = model.forward(data.x.new_tensor([[0.25], [0.75]]).expand(2, d).contiguous())
            _check_belief(belief, 2)
            belief.lazy_covariance_matrix.to_dense()
    except NUMERICAL:  # with the parameters that it has now
        pass
    except (RuntimeError, ShapeError) as error:
        if data.x.is_cuda:  # may be the GPU's fault; on the CPU it will show
            raise
        # As a RuntimeError the user's mistake would pass for an accident of the numerics.
        raise TypeError(f"surrogate: the model takes no x of {d} columns: {error}") from error
    return model.train()  # forgets what it may have kept of the parameters that it had


def _check_belief(belief: object, n: int) -> None:
    shape = tuple(belief.mean.shape) if isinstance(belief, MultivariateNormal) else None
    if shape != (n,):
        got = type(belief).__name__ if shape is None else f"{type(belief).__name__} of {shape}"
        expected = f"a MultivariateNormal of ({n},) for {n} points"
        raise TypeError(
            explain("surrogate: forward", "no belief about one output", got, expected=expected)
        )


def _check_spec(name: str, spec: object) -> None:
    """Refuse at the door what cannot be meant."""
    kind, expected = KINDS[name]
    if isinstance(spec, kind):
        return
    if isinstance(spec, type | torch.nn.Module) or not _takes(spec, 1):
        fix = MODEL if name == "kernel" else ""
        raise TypeError(explain(f"surrogate: {name}", "unknown", spec, expected=expected, fix=fix))


def _takes(function: object, count: int) -> bool:
    """Whether something can be called with so many arguments, as far as its signature says."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature
        return True
    return True
