"""A Program played in NumPy, whatever passes it has been through: what its steps mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.fixedpoint import requantise
from hyper_mcu.codegen.layout import payload
from hyper_mcu.codegen.netspec import Conv
from hyper_mcu.codegen.oracle import Result, convolve, head, shuffle_order
from hyper_mcu.codegen.program import Program, Step
from hyper_mcu.codegen.qnet import QConv, QNet

Map = NDArray[np.int64]


def play(program: Program, qnet: QNet, image: NDArray[np.uint8]) -> Result:
    """The layers and the logit of an image.

    Integers are those of hm_weights where they are packed; maps lie in one memory where they are placed, and what
    another map has written over is lost.
    """
    integers = _packed(program) if program.arrays else {s.stage.index: s.q for s in program.steps if s.q}
    memory = np.zeros(program.memory.total if program.memory else 0, np.int64)
    maps: dict[int, Map] = {}
    layers: dict[int, NDArray[np.int8]] = {}
    u: Map = image.astype(np.int64)
    for step in program.steps:
        i, ends = step.stage.index, step.stage.layer
        if program.memory and i:
            u = _read(program, memory, i - 1)
        if step.kind == "conv":
            u = _conv(step, integers[i], u)
        elif step.kind == "add":
            of = ends.of  # type: ignore[union-attr]  # an Add
            u = np.minimum(u + (_read(program, memory, of) if program.memory else maps[of]), 255)
        if step.store > 1:
            u = u[..., shuffle_order(u.shape[2], step.store)]
        maps[i] = u
        if program.memory:
            place = program.memory.maps[i]
            memory[place.offset : place.end] = u.ravel()
        layers[i] = (u - (0 if isinstance(ends, Conv) and not ends.relu else 128)).astype(np.int8)
    return Result(tuple(layers[i] for i in sorted(layers)), head(qnet, u))


def _read(program: Program, memory: Map, stage: int) -> Map:
    assert program.memory is not None
    place = program.memory.maps[stage]
    return memory[place.offset : place.end].reshape(program.spec.stages[stage].out_shape)


def _conv(step: Step, q: QConv, inputs: Map) -> Map:
    """Input bytes and the padding around them, `zero` taken off both."""
    c = step.stage.layer
    assert isinstance(c, Conv)
    pad = step.padding - step.zero
    products = convolve(c, (inputs - step.zero - pad).astype(np.float64), q.weight.astype(np.float64))
    sums = q.weight.reshape(c.cout, -1).sum(1, dtype=np.int64)  # `convolve` pads with zero: move the padding there
    y = requantise(products.astype(np.int64) + pad * sums + q.bias, q.multiplier, q.shift)
    return np.clip(y, 0, 255) if c.relu else np.clip(y, -128, 127)


def _packed(program: Program) -> dict[int, QConv]:
    """The integers of each Conv as they lie in flash, in the order of the steps' channels."""
    data, at, found = payload(program), 0, dict[str, NDArray[np.int64]]()
    for a in program.arrays:
        size, kind = a.size or 1, {"int32_t": "<i4", "int8_t": "<i1", "uint8_t": "<u1"}[a.ctype]
        found[a.name] = np.frombuffer(data, kind, size, at).astype(np.int64)
        at += size * np.dtype(kind).itemsize
    assert at == len(data)
    out = {}
    for step in program.steps:
        if step.q is not None:
            i, q = step.stage.index, step.q
            weight, bias = found[f"weight{i}"].reshape(q.weight.shape).astype(np.int8), found[f"bias{i}"]
            m, shift = found[f"multiplier{i}"].astype(np.int32), found[f"shift{i}"].astype(np.uint8)
            out[i] = QConv(weight, bias.astype(np.int32), m, shift, q.weight_scale, q.out_scale)
    return out
