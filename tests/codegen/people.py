"""People with made-up integers, the same on every machine: for golden files and for tests that need any person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.person import KnownAnswer, Person, Provenance
from hyper_mcu.codegen.qnet import QConv, QHead, QNet

# One stage of each kind: dense first layer, group convolution, shuffled sum, grouped pointwise, linear end.
TINY = NetSpec(
    "tiny@1",
    (
        Conv(3, 2, "same", 3, 6),
        Conv(3, 1, "same", 6, 6, 2),
        Add(0),
        Shuffle(2),
        Conv(1, 1, "same", 6, 10, 2, relu=False),
    ),
    Head("cosdot"),
    height=8,
    width=6,
)
OTHER = NetSpec(
    "other@1",
    (Conv(5, 2, "valid", 3, 4), Conv(3, 2, "same", 4, 4, 4), Conv(1, 2, "same", 4, 5)),
    Head("dot", pool=True),
    height=9,
    width=12,
)


class Numbers:
    """xorshift32, so that no library's random stream decides what a golden file holds."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def draw(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers low … high of that shape."""
        values = []
        for _ in range(int(np.prod(shape))):
            x = self.state
            x ^= x << 13 & 0xFFFFFFFF
            x ^= x >> 17
            x ^= x << 5 & 0xFFFFFFFF
            self.state = x
            values.append(low + x % (high - low + 1))
        return np.array(values, np.int64).reshape(shape)


def net(spec: NetSpec, seed: int = 1) -> QNet:
    """Integers for `spec` that leave the maps neither empty nor saturated."""
    numbers = Numbers(seed)
    stages: list[QConv | None] = []
    for s in spec.stages:
        c = s.layer
        if not isinstance(c, Conv):
            stages.append(None)
            continue
        spread = 73 * 120 * c.taps**0.5 / 60  # of the sums, in steps of the output
        stages.append(
            QConv(
                numbers.draw(-127, 127, c.cout, c.k, c.k, c.cin_group).astype(np.int8),
                numbers.draw(-5000, 5000, c.cout).astype(np.int32),
                numbers.draw(2**30, 2**31 - 1, c.cout).astype(np.int32),
                np.full(c.cout, int(np.log2(spread)), np.uint8) + numbers.draw(0, 1, c.cout).astype(np.uint8),
                (numbers.draw(1, 2**20, c.cout) / 2**24).astype(np.float32),
                np.float32(0.0625),  # one scale, as the inputs of an Add have
            )
        )
    head = numbers.draw(-127, 127, spec.head_size).astype(np.int8)
    bias = int(numbers.draw(-9999, 9999, 1)[0]) if spec.head.kind == "dot" else 0
    return QNet(spec, tuple(stages), QHead(head, bias, np.float32(0.015625)))


def known(qnet: QNet, seed: int = 7) -> KnownAnswer:
    """The known answer as the oracle has it."""
    result = oracle.run(qnet, oracle.known_image(qnet.spec, seed))
    return KnownAnswer(seed, result.logit, result.layers_sha256)


def person(qnet: QNet, name: str = "alice", threshold: int = 0) -> Person:
    """A Person around `qnet`, with a known answer that holds."""
    made = Provenance("hyper-mcu 0.1.0", "backbone", "b" * 64, "generator", "a" * 64)
    return Person(name, qnet, threshold, 0.25, 0.001, 0.0625, "200 people", known(qnet), made)


def with_threshold(p: Person, threshold: int) -> Person:
    """The same person with another threshold."""
    return replace(p, threshold=threshold)


def same_person(a: Person, b: Person) -> bool:
    """Whether two people agree in every integer, scale and word."""
    same = a.qnet.sha256() == b.qnet.sha256() and a.qnet.spec == b.qnet.spec
    for (_, x), (_, y) in zip(a.qnet.convs, b.qnet.convs, strict=True):
        same &= x.out_scale == y.out_scale and np.array_equal(x.weight_scale, y.weight_scale)
        same &= all(getattr(x, n).dtype == getattr(y, n).dtype for n in ("weight", "bias", "multiplier", "shift"))
    same &= a.qnet.head.weight_scale == b.qnet.head.weight_scale
    return bool(same and replace(a, qnet=b.qnet) == b)
