"""Real tuning: models of scikit-learn on its own data sets, a fraction of a second each.

The loss is what a person would look at: the mean over three folds of the error or of the log loss.
Nobody knows the optimum; a regret counts from the best value that any run has found.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import gpbo
from benchmarks.suite.problem import FailedTrialError, Params, Problem

FOLDS = 3
MOST_ROWS = 600  # of the digits: a trial shall take less than a second


@dataclass(frozen=True)
class Task:
    """A model and its data; `build` makes the model from params."""

    name: str
    data: str
    scoring: str  # scikit-learn's name of a score, which is to be as large as possible
    space: dict[str, Any]
    build: Callable[[Params], Any]
    trials: int = 60

    def __call__(self, seed: int) -> Problem:
        """The problem, which is the same for all seeds."""
        source = f"scikit-learn, load_{self.data}"
        return Problem(
            self.name, "learning", self.space, self.loss, None, None, 0.0, self.trials, source
        )

    def loss(self, params: Params) -> float:
        """The mean loss of the folds.

        Raises   FailedTrialError  if the model cannot be fitted
        """
        from sklearn.model_selection import cross_val_score

        x, y, folds = data(self.data)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                scores = cross_val_score(
                    self.build(params), x, y, scoring=self.scoring, cv=folds, error_score="raise"
                )
            except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                raise FailedTrialError(str(error)) from error
        # An accuracy becomes an error rate; the other scores are losses with their sign turned.
        return float((1.0 if self.scoring == "accuracy" else 0.0) - scores.mean())


@cache
def data(name: str) -> tuple[Any, Any, Any]:
    """Rows, targets, and the same folds in every run."""
    from sklearn import datasets
    from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
    from sklearn.preprocessing import scale

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    regression = name == "diabetes"
    if len(x) > MOST_ROWS:
        x, _, y, _ = train_test_split(x, y, train_size=MOST_ROWS, random_state=0, stratify=y)
    kind = KFold if regression else StratifiedKFold
    x = x / 16 if name == "digits" else scale(x)
    return x, scale(y) if regression else y, kind(FOLDS, shuffle=True, random_state=0)


# models --------------------------------------------------------------------------------------


def svc(params: Params) -> Any:
    """A support vector machine."""
    from sklearn.svm import SVC

    return SVC(**params, cache_size=50, max_iter=20000, random_state=0)


def svr(params: Params) -> Any:
    """Support vector regression."""
    from sklearn.svm import SVR

    return SVR(**params, cache_size=50, max_iter=20000)


def mlp(params: Params) -> Any:
    """A small network, trained for a few epochs."""
    from sklearn.neural_network import MLPClassifier

    params = dict(params)
    layers = tuple([params.pop("width")] * params.pop("depth"))
    rate = params.pop("lr")
    return MLPClassifier(
        hidden_layer_sizes=layers, learning_rate_init=rate, max_iter=12, random_state=0, **params
    )


def boosting(params: Params) -> Any:
    """Gradient boosting of classes."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(**params, random_state=0)


def boosted_regression(params: Params) -> Any:
    """Gradient boosting of numbers."""
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(**params, random_state=0)


def forest(params: Params) -> Any:
    """A random forest."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**params, n_estimators=30, random_state=0)


def logistic(params: Params) -> Any:
    """Logistic regression with an elastic net, by stochastic gradients."""
    from sklearn.linear_model import SGDClassifier

    params = dict(params)
    schedule = params.pop("schedule")
    return SGDClassifier(
        loss="log_loss", learning_rate=schedule, max_iter=30, tol=None, random_state=0, **params
    )


def neighbors(params: Params) -> Any:
    """Nearest neighbors."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(**params)


def ridge(params: Params) -> Any:
    """Kernel ridge regression."""
    from sklearn.kernel_ridge import KernelRidge

    return KernelRidge(**params)


def pipeline(params: Params) -> Any:
    """Components, then one of four kinds of model."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline

    params = dict(params)
    model, components = params.pop("model"), params.pop("components")
    kinds = {"svc": svc, "forest": forest, "neighbors": neighbors, "logistic": logistic}
    return make_pipeline(PCA(components, random_state=0), kinds[model](params))


# spaces --------------------------------------------------------------------------------------

KERNELS = {
    "rbf": {"gamma": gpbo.Float(1e-5, 10.0, log=True)},
    "poly": {
        "gamma": gpbo.Float(1e-5, 10.0, log=True),
        "degree": gpbo.Int(2, 5),
        "coef0": gpbo.Float(0.0, 5.0),
    },
    "linear": None,
}
TREES = {
    "learning_rate": gpbo.Float(1e-3, 1.0, log=True),
    "n_estimators": gpbo.Int(5, 60, log=True),
    "max_depth": gpbo.Int(1, 6),
    "subsample": gpbo.Float(0.3, 1.0),
    "max_features": gpbo.Float(0.1, 1.0),
    "min_samples_leaf": gpbo.Int(1, 40, log=True),
}
FOREST = {
    "max_depth": gpbo.Int(1, 20),
    "max_features": gpbo.Float(0.05, 1.0),
    "min_samples_leaf": gpbo.Int(1, 50, log=True),
    "criterion": gpbo.Categorical(["gini", "entropy"]),
    "bootstrap": gpbo.Bool(),
}
NEIGHBORS = {
    "n_neighbors": gpbo.Int(1, 50, log=True),
    "weights": gpbo.Categorical(["uniform", "distance"]),
    "metric": gpbo.Categorical(["euclidean", "manhattan", "chebyshev", "cosine"]),
}
MLP = {
    "width": gpbo.Int(4, 128, log=True),
    "depth": gpbo.Int(1, 3),
    "lr": gpbo.Float(1e-5, 1.0, log=True),
    "alpha": gpbo.Float(1e-8, 10.0, log=True),
    "batch_size": gpbo.Ordinal([8, 16, 32, 64, 128]),
    "activation": gpbo.Categorical(["relu", "tanh", "logistic"]),
    "solver": gpbo.Choice(
        {
            "sgd": {"momentum": gpbo.Float(0.0, 0.99), "nesterovs_momentum": gpbo.Bool()},
            "adam": {"beta_1": gpbo.Float(0.5, 0.99), "beta_2": gpbo.Float(0.9, 0.9999)},
        }
    ),
}
LOGISTIC = {
    "alpha": gpbo.Float(1e-7, 1.0, log=True),
    "eta0": gpbo.Float(1e-5, 10.0, log=True),
    "schedule": gpbo.Categorical(["constant", "invscaling", "optimal", "adaptive"]),
    "penalty": gpbo.Choice({"l2": None, "elasticnet": {"l1_ratio": gpbo.Float(0.0, 1.0)}}),
    "average": gpbo.Bool(),
}
RIDGE = {
    "alpha": gpbo.Float(1e-6, 1e3, log=True),
    "kernel": gpbo.Choice(
        {
            "rbf": {"gamma": gpbo.Float(1e-5, 10.0, log=True)},
            "laplacian": {"gamma": gpbo.Float(1e-5, 10.0, log=True)},
            "poly": {"degree": gpbo.Int(1, 5), "coef0": gpbo.Float(0.0, 5.0)},
        }
    ),
}
PIPELINE = {
    "components": gpbo.Int(2, 13),
    "model": gpbo.Choice(
        {
            "svc": {"C": gpbo.Float(1e-3, 1e3, log=True), "gamma": gpbo.Float(1e-5, 10, log=True)},
            "forest": FOREST,
            "neighbors": NEIGHBORS,
            "logistic": LOGISTIC,
        }
    ),
}
COST = {"C": gpbo.Float(1e-3, 1e4, log=True)}


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed."""
    gamma = {"gamma": gpbo.Float(1e-5, 10.0, log=True)}
    epsilon = {"epsilon": gpbo.Float(1e-3, 1.0, log=True)}
    error, loss, square = "accuracy", "neg_log_loss", "neg_mean_squared_error"
    tasks = [
        Task("svc-digits", "digits", error, {**COST, **gamma}, svc, 50),
        Task("svc-cancer", "breast_cancer", error, {**COST, "kernel": gpbo.Choice(KERNELS)}, svc),
        Task("svr-diabetes", "diabetes", square, {**COST, **gamma, **epsilon}, svr),
        Task("mlp-digits", "digits", loss, MLP, mlp, 75),
        Task("mlp-wine", "wine", loss, MLP, mlp, 75),
        Task("boosting-cancer", "breast_cancer", loss, TREES, boosting, 75),
        Task("regression-diabetes", "diabetes", square, TREES, boosted_regression, 75),
        Task("forest-digits", "digits", loss, FOREST, forest),
        Task("logistic-digits", "digits", loss, LOGISTIC, logistic),
        Task("logistic-cancer", "breast_cancer", loss, LOGISTIC, logistic),
        Task("neighbors-digits", "digits", error, NEIGHBORS, neighbors, 50),
        Task("ridge-diabetes", "diabetes", square, RIDGE, ridge),
        Task("pipeline-wine", "wine", error, PIPELINE, pipeline, 100),
    ]
    return {task.name: task for task in tasks}
