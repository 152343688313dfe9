"""Permutations of channels that leave f as it is: on every image the logit is the very same, bit by bit.

Positions only. Each stage's channels may be brought into another order where weights, biases, multipliers and shifts go
with them, and the next stage's inputs; groups, shuffles and Adds allow some orders together and others not, and the
head none or all. This is obfuscation and no more: whoever has the generator, or a net of it, finds the order again
(tests/hyper_mcu/test_permute_undone.py counts how often).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec
from hyper_mcu.codegen.oracle import shuffle_order
from hyper_mcu.codegen.program import reordered
from hyper_mcu.codegen.qnet import QConv, QHead, QNet
from hyper_mcu.codegen.symmetry import Draws, Graph, Symmetry, symmetry

Order = NDArray[np.int64]  # of a map: at place 0, 1, … the channel that was there before


def bits(spec: NetSpec) -> float:
    """The entropy of a permutation drawn at random, log2 of how many there are."""
    return math.log2(_symmetry(spec).order)


def permuted(qnet: QNet, seed: bytes) -> QNet:
    """The same net with its channels in an order that the seed decides, each possible one as likely as any other."""
    return apply(qnet, drawn(qnet.spec, seed))


def drawn(spec: NetSpec, seed: bytes) -> list[Order]:
    """Orders of the channels of each stage's map, in canonical order (after its shuffle)."""
    to = _symmetry(spec).sample(Draws(seed))
    orders = []
    for first, stage in zip(_firsts(spec)[1:], spec.stages, strict=True):
        places = [to[first + c] - first for c in range(stage.out_shape[2])]
        orders.append(np.argsort(np.array(places, np.int64)))
    return orders


def apply(qnet: QNet, orders: Sequence[Order]) -> QNet:
    """The net with these orders, which shuffles and Adds must allow; raises UserError where groups do not."""
    spec, before = qnet.spec, np.arange(qnet.spec.channels, dtype=np.int64)
    stages: list[QConv | None] = []
    for stage, q, order in zip(spec.stages, qnet.stages, orders, strict=True):
        if isinstance(c := stage.layer, Conv) and q is not None:
            shuffle = shuffle_order(c.cout, stage.shuffle)
            stages.append(_conv(c, q, before, shuffle[order[np.argsort(shuffle)]]))
        else:
            stages.append(None)
        before = order
    weight = qnet.head.weight.reshape(-1, len(before))[:, before].ravel()
    return QNet(spec, tuple(stages), QHead(weight, qnet.head.bias, qnet.head.weight_scale))


def _conv(c: Conv, q: QConv, before: Order, after: Order) -> QConv:
    """A Conv whose inputs come in the order `before` and whose outputs, not shuffled yet, go in the order `after`."""
    groups = np.arange(c.cout) // c.cout_group
    inputs = before.reshape(c.groups, c.cin_group)[groups] - (after // c.cout_group * c.cin_group)[:, None]
    if inputs.min() < 0 or inputs.max() >= c.cin_group:
        raise UserError("permutation", "orders of channels", "inputs that follow their groups", "others")
    q = reordered(q, after)
    return replace(q, weight=np.take_along_axis(q.weight, inputs[:, None, None, :], axis=3))


@cache
def _symmetry(spec: NetSpec) -> Symmetry:
    return symmetry(wiring(spec))


def _firsts(spec: NetSpec) -> list[int]:
    """The vertex of channel 0 of the image, then of each stage's map."""
    counts = [spec.channels, *(stage.out_shape[2] for stage in spec.stages)]
    return [sum(counts[:i]) for i in range(len(counts))]


def wiring(spec: NetSpec) -> Graph:
    """What a permutation must keep. A vertex is a channel of the image, which keeps its place, or of a stage's map; or,
    where a Conv has groups, one side of a group: its inputs or its outputs. Each side is joined to its channels and to
    the other side. A channel of an Add is joined to the two that it sums."""
    near, colours, firsts = defaultdict[int, set[int]](set), dict[int, int](), _firsts(spec)
    unused = firsts[-1] + spec.stages[-1].out_shape[2]

    def join(v: int, w: int) -> None:
        near[v].add(w)
        near[w].add(v)

    for channel in range(spec.channels):
        colours[channel] = channel
    colour = spec.channels
    for stage in spec.stages:
        source, first, channels = firsts[stage.index], firsts[stage.index + 1], stage.out_shape[2]
        colours |= dict.fromkeys(range(first, first + channels), colour)
        shuffle = shuffle_order(channels, stage.shuffle).tolist()
        if isinstance(c := stage.layer, Add):
            for place, channel in enumerate(shuffle):
                join(first + place, source + channel)
                join(first + place, firsts[c.of + 1] + channel)
        elif c.groups > 1:
            inputs, outputs = unused, unused + c.groups
            unused += 2 * c.groups
            colours |= dict.fromkeys(range(inputs, outputs), colour + 1)
            colours |= dict.fromkeys(range(outputs, unused), colour + 2)
            for group in range(c.groups):
                join(inputs + group, outputs + group)
            for channel in range(c.cin):
                join(source + channel, inputs + channel // c.cin_group)
            for place, channel in enumerate(shuffle):
                join(first + place, outputs + channel // c.cout_group)
        colour += 3
    return Graph({v: tuple(sorted(near[v])) for v in colours}, colours)
