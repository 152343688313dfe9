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
from hyper_mcu.codegen.schedule import IMAGE, reads

Map = NDArray[np.int64]


def play(program: Program, qnet: QNet, image: NDArray[np.uint8]) -> Result:
    """The layers and the logit of an image.

    Integers are those of hm_weights where they are packed; where rows are placed, a strip sees only what lies in their
    one memory then, and a row that another has written over is lost.
    """
    integers = _packed(program) if program.arrays else {s.stage.index: s.q for s in program.steps if s.q}
    maps = _by_strips(program, integers, image) if program.memory else _by_maps(program, integers, image)
    ends = [s.layer for s in program.spec.stages]
    linear = [isinstance(end, Conv) and not end.relu for end in ends]
    layers = [(u - (0 if q else 128)).astype(np.int8) for u, q in zip(maps, linear, strict=True)]
    return Result(tuple(layers), head(qnet, maps[-1]))


def _by_maps(program: Program, integers: dict[int, QConv], image: NDArray[np.uint8]) -> list[Map]:
    maps: dict[int, Map] = {IMAGE: image.astype(np.int64)}
    for step in program.steps:
        i = step.stage.index
        maps[i] = _step(step, integers, maps[i - 1] if step.kind != "shuffle" else maps[i], maps)
    return [maps[s.index] for s in program.spec.stages]


def _by_strips(program: Program, integers: dict[int, QConv], image: NDArray[np.uint8]) -> list[Map]:
    memory, spec, newest = program.memory, program.spec, 0
    assert memory is not None
    bytes_ = np.zeros(memory.total, np.int64)
    shapes = {IMAGE: image.shape, **{s.index: s.out_shape for s in spec.stages}}
    maps = [np.zeros(s.out_shape, np.int64) for s in spec.stages]

    def row(i: int, y: int) -> Map:
        offset, (_, width, channels) = memory.row(i, y), shapes[i]
        return bytes_[offset : offset + width * channels].reshape(width, channels) if offset is not None else bytes_[:0]

    for strip in memory.schedule.order:
        if strip.stage == IMAGE:
            if row(IMAGE, newest).size:
                row(IMAGE, newest)[:] = image[newest]
            newest += 1
            continue
        seen = {i: np.full(shape, -1) for i, shape in shapes.items()}
        for i, y in reads(spec, strip):
            seen[i][y] = image[y] if (i, y) == (IMAGE, newest) else row(i, y)
        computed = _step(program.steps[strip.stage], integers, seen[strip.stage - 1], seen)
        for y in range(strip.first, strip.first + strip.n):
            row(strip.stage, y)[:] = maps[strip.stage][y] = computed[y]
    return maps


def _step(step: Step, integers: dict[int, QConv], u: Map, maps: dict[int, Map]) -> Map:
    if step.kind == "conv":
        u = _conv(step, integers[step.stage.index], u)
    elif step.kind == "add":
        u = np.minimum(u + maps[step.stage.layer.of], 255)  # type: ignore[union-attr]  # an Add
    return u[..., shuffle_order(u.shape[2], step.store)] if step.store > 1 else u


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
