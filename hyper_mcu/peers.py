"""Instructions that other runtimes need for a multiply-accumulate, beside which `bench` shows ours, and our goals.

Measured once: exact counts in QEMU, gcc 12.2 -O2, CMSIS-NN 99f736a6 and esp-nn d45b843 (its optimised C). Of the layers
measured these five are of kinds that our networks are made of.
"""

from __future__ import annotations

from typing import NamedTuple

LAYERS = {  # by what bench calls that very layer: its kind (codegen/bench.py)
    "3x3, stride 2, 112x112x3 to 56x56x16": "3x3, stride 2, 3 to 16",
    "3x3, 28x28x32 to 28x28x32 in 8 groups of 4 to 4": "3x3, 4 to 4 in groups",
    "3x3, stride 2, 28x28x32 to 14x14x64 in 8 groups of 4 to 8": "3x3, stride 2, 4 to 8 in groups",
    "1x1, 28x28x32 to 28x28x32": "1x1",
    "1x1, 14x14x64 to 14x14x64": "1x1",
}
CMSIS_NN, ESP_NN = "CMSIS-NN", "esp-nn"


class Peer(NamedTuple):
    """Instructions per MAC of a peer: on a whole network of 4.96 M MACs, which is not ours, and of each of LAYERS."""

    name: str
    whole: float
    layers: tuple[float, float, float, float, float]


class Figure(NamedTuple):
    """Instructions per MAC of a peer, for the very same layer, or else for one of its kind."""

    per_mac: float
    same: bool


PEERS = {  # by target
    "m3": Peer(CMSIS_NN, 5.92, (5.49, 8.29, 5.98, 3.65, 3.09)),
    "m4": Peer(CMSIS_NN, 4.93, (4.77, 6.98, 4.95, 2.69, 2.07)),
    "m7": Peer(CMSIS_NN, 5.06, (4.88, 7.31, 5.11, 2.65, 2.04)),
    "m33": Peer(CMSIS_NN, 4.92, (4.77, 6.98, 4.95, 2.68, 2.07)),
    "m55": Peer(CMSIS_NN, 1.59, (1.42, 2.70, 1.66, 0.62, 0.39)),
    "rv32imc": Peer(ESP_NN, 13.7, (17.5, 13.5, 13.5, 8.24, 7.12)),
}
# What we want to reach over a whole network, instructions per MAC; what is promised stands in benchmarks/costs.py.
GOALS = {"m3": 3.2, "m4": 1.15, "m7": 1.15, "m33": 1.15, "m55": 0.38, "rv32imc": 3.3}


def peers(target: str, name: str, kind: str | None) -> Figure | None:
    """What the peer of a target needs for a layer, by bench's name and kind of it; of several layers of its kind that
    were measured, the least."""
    if target not in PEERS:
        return None
    by_name = dict(zip(LAYERS, PEERS[target].layers, strict=True))
    if name in by_name:
        return Figure(by_name[name], same=True)
    like = [by_name[n] for n, k in LAYERS.items() if k == kind]
    return Figure(min(like), same=False) if like else None
