"""A real tuning task: a small network on scikit-learn's handwritten digits, trained by PyTorch.

Three splits are kept apart: the network is trained on the first, a trial is judged on the second
(validation), and the third (test) is for the winner alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import gpbo

EPOCHS = 12

SPACE = gpbo.Space(
    {
        "lr": gpbo.Float(1e-6, 10.0, log=True),
        "weight_decay": gpbo.Float(1e-6, 1.0, log=True),
        "dropout": gpbo.Float(0.0, 0.8),
        "width": gpbo.Int(4, 128, log=True),
        "activation": gpbo.Categorical(["relu", "tanh", "gelu"]),
        "optimizer": gpbo.Choice(
            {
                "sgd": {"momentum": gpbo.Float(0.0, 0.99), "nesterov": gpbo.Bool()},
                "adam": {"beta1": gpbo.Float(0.5, 0.99)},
            }
        ),
        "epochs": EPOCHS,
    }
)

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


@dataclass(frozen=True)
class Split:
    """Images (n, 64) in [0, 1] and their digits (n,)."""

    images: Tensor
    digits: Tensor


@lru_cache(maxsize=1)
def splits() -> dict[str, Split]:
    """The same three splits in every run: 500 to train on, 600 to validate, 697 to test."""
    images, digits = load_digits(return_X_y=True)
    rest, test, rest_digits, test_digits = train_test_split(
        images, digits, test_size=697, random_state=0, stratify=digits
    )
    train, validation, train_digits, validation_digits = train_test_split(
        rest, rest_digits, test_size=600, random_state=0, stratify=rest_digits
    )
    parts = {
        "train": (train, train_digits),
        "validation": (validation, validation_digits),
        "test": (test, test_digits),
    }
    return {
        name: Split(torch.tensor(x / 16.0, dtype=torch.float32), torch.tensor(y))
        for name, (x, y) in parts.items()
    }


def train(params: dict[str, Any]) -> nn.Module:
    """A network trained with these params; the same params give the same network."""
    generator = torch.Generator().manual_seed(0)
    model = network(params, generator)
    optimizer = make_optimizer(params, model)
    data = splits()["train"]
    model.train()
    for _ in range(params["epochs"]):
        for rows in batches(len(data.digits), generator):
            hidden = model[1](model[0](data.images[rows]))
            kept = torch.rand(hidden.shape, generator=generator) >= params["dropout"]
            logits = model[2](hidden * kept / (1 - params["dropout"]))
            loss = nn.functional.cross_entropy(logits, data.digits[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def network(params: dict[str, Any], generator: torch.Generator) -> nn.Sequential:
    """One hidden layer, its weights drawn from the generator."""
    width = params["width"]
    model = nn.Sequential(
        nn.Linear(64, width), ACTIVATIONS[params["activation"]](), nn.Linear(width, 10)
    )
    for layer in (model[0], model[2]):
        bound = layer.in_features**-0.5
        with torch.no_grad():
            for weights in layer.parameters():
                weights.uniform_(-bound, bound, generator=generator)
    return model


def make_optimizer(params: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that a trial chose, with the parameters of its branch."""
    common = {"lr": params["lr"], "weight_decay": params["weight_decay"]}
    if params["optimizer"] == "adam":
        return torch.optim.Adam(model.parameters(), betas=(params["beta1"], 0.999), **common)
    # Nesterov's step needs a momentum
    nesterov = params["nesterov"] and params["momentum"] > 0
    return torch.optim.SGD(
        model.parameters(), momentum=params["momentum"], nesterov=nesterov, **common
    )


def batches(n: int, generator: torch.Generator, size: int = 32) -> Iterator[Tensor]:
    """One epoch of shuffled rows."""
    yield from torch.randperm(n, generator=generator).split(size)


@torch.no_grad()
def error(model: nn.Module, split: str) -> float:
    """The share of wrong digits on a split; nan where the training diverged."""
    data = splits()[split]
    logits = model.eval()(data.images)
    if not torch.isfinite(logits).all():
        return float("nan")
    return float((logits.argmax(1) != data.digits).double().mean())
