"""A net as kernels run it: steps from map to map, which the passes (passes.py) make fewer and cheaper.

Maps hold u = q + 128 as uint8 behind a ReLU and q as int8 behind a linear end; the image enters as its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.netspec import Conv, NetSpec, Stage
from hyper_mcu.codegen.qnet import QConv, QHead, QNet

if TYPE_CHECKING:
    from hyper_mcu.codegen.layout import Array
    from hyper_mcu.codegen.plan import Plan

PIXEL_ZERO = 128  # the byte of a pixel of value 0


@dataclass(frozen=True)
class Step:
    """What is done to the map before it.

    kind: a Conv with its requantisation, an Add, or a shuffle by itself; stage: the one of which it is a step.
    q: integers of a Conv, its output channels in the order in which they are computed. zero: taken off each input byte
    before it is multiplied; padding: the byte around the map. store: groups of the shuffle by which output channels
    are stored (1: in order).
    """

    kind: Literal["conv", "add", "shuffle"]
    stage: Stage
    q: QConv | None = None
    zero: int = 0
    padding: int = 0
    store: int = 1


@dataclass(frozen=True)
class Program:
    """A net on its way to C: steps in order and the head; arrays: hm_weights, of `pack`; memory: of `place`."""

    spec: NetSpec
    steps: tuple[Step, ...]
    head: QHead
    arrays: tuple[Array, ...] = ()
    memory: Plan | None = None


def lower(q: QNet) -> Program:
    """One step for everything that the net says, as SPEC.md has it: pixels are x − 128, shuffles stand alone."""
    steps: list[Step] = []
    for stage, integers in zip(q.spec.stages, q.stages, strict=True):
        pixels = PIXEL_ZERO if stage.index == 0 else 0
        steps.append(Step("conv", stage, integers, pixels, pixels) if integers is not None else Step("add", stage))
        if stage.shuffle > 1:
            steps.append(Step("shuffle", stage, store=stage.shuffle))
    return Program(q.spec, tuple(steps), q.head)


def folds(stage: Stage) -> bool:
    """Whether the shuffle behind a stage is an order of its output channels: behind a dense Conv, each of whose outputs
    reads every input. A group's outputs must stay together, for kernels compute them together."""
    return stage.shuffle > 1 and isinstance(stage.layer, Conv) and stage.layer.groups == 1


def reordered(q: QConv, order: NDArray[np.int64]) -> QConv:
    """The integers of the output channels `order`."""
    rows = {k: getattr(q, k)[order] for k in ("weight", "bias", "multiplier", "shift", "weight_scale")}
    return replace(q, **rows)
