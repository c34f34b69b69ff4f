"""All peers, by name."""

from __future__ import annotations

from benchmarks.suite.peers import (
    ax,
    botorch,
    evolution,
    hebo,
    hyperopt,
    optuna,
    ours,
    skopt,
    smac,
    turbo,
)
from benchmarks.suite.peers.base import Peer

PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in (
        ours.GpboBayes,
        ours.GpboTrustRegion,
        ours.Random,
        ours.Sobol,
        ours.Grid,
        optuna.Tpe,
        optuna.Gp,
        botorch.BoTorch,
        ax.Ax,
        skopt.Skopt,
        hyperopt.Hyperopt,
        evolution.Cma,
        smac.Smac,
        hebo.Hebo,
        turbo.Turbo,
    )
}
