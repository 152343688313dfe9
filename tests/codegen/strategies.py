"""Hypothesis strategies for legal nets: small maps, groups, odd channels, strides, shuffles, Adds, both heads, and
integers at the ends of what the arithmetic allows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import quantize_multiplier
from hyper_mcu.codegen.netspec import Add, Conv, Head, Layer, NetSpec, Shuffle
from hyper_mcu.codegen.qnet import ACC_BOUND, QConv, QHead, QNet
from hyper_mcu.codegen.quantize import INPUT_SCALE, scales_of

T = TypeVar("T")
HEADS = [Head(kind, pool) for kind in ("dot", "cosdot") for pool in (False, True)]
WEIGHTS = ("random", "saturated", "one sign", "zero")
BIASES = ("random", "at the bound", "zero")
SHIFTS = ("fitting", "any")
SCALES = ((1e-3, 1.0), (1e-12, 1e12))
SIDES = (5, 4, 8, 6, 3, 7, 10, 2, 9, 1)  # in this order, so that one pixel is not what is drawn most
IMAGES = ("known", "black", "white", "black and white")


def divisors(n: int) -> list[int]:
    """All divisors of n, 1 and n included."""
    return [d for d in range(1, n + 1) if n % d == 0]


@st.composite
def net_specs(draw: st.DrawFn, max_side: int = 10, max_channels: int = 12, max_stages: int = 5) -> NetSpec:
    """A legal NetSpec over an RGB image of at most max_side × max_side pixels."""
    sides = st.sampled_from([side for side in SIDES if side <= max_side])
    height, width = draw(sides), draw(sides)
    layers: list[Layer] = []
    shapes: list[tuple[int, int, int]] = []
    shape, stages = (height, width, 3), max_stages - draw(st.integers(0, max_stages - 1))
    while len(shapes) < stages:
        shuffled = bool(layers) and isinstance(layers[-1], Shuffle)
        conv = draw(_convs(shape, max_channels, shuffled, last=len(shapes) == stages - 1))
        layers.append(conv)
        shape = (conv.window(shape[0])[0], conv.window(shape[1])[0], conv.cout)
        shapes.append(shape)
        twins = [i for i, s in enumerate(shapes[:-1]) if s == shape]
        if twins and conv.relu and draw(st.booleans()):
            layers.append(Add(draw(st.sampled_from(twins))))
            shapes.append(shape)
        proper = divisors(shape[2])[1:-1]
        if proper and len(shapes) < stages and draw(st.booleans()):
            layers.append(Shuffle(draw(st.sampled_from(proper))))
    return draw(st.sampled_from(_with_heads(tuple(layers), height, width)))


@st.composite
def _convs(draw: st.DrawFn, shape: tuple[int, int, int], max_channels: int, grouped: bool, last: bool) -> Conv:
    h, w, cin = shape
    k = draw(st.sampled_from((1, 3, 5, 7)))
    groups = draw(st.sampled_from(divisors(cin)[1:] if grouped else divisors(cin)))
    if draw(st.booleans()):  # of the same shape, so that an Add can follow
        return Conv(k, 1, "same", cin, cin, groups)
    pad = draw(st.sampled_from(("same", "valid"))) if min(h, w) >= k else "same"
    cout = groups * draw(st.integers(1, max(1, max_channels // groups)))
    return Conv(k, draw(st.sampled_from((1, 2))), pad, cin, cout, groups, relu=not (last and draw(st.booleans())))


def _with_heads(layers: tuple[Layer, ...], height: int, width: int) -> list[NetSpec]:
    """The net with every head that it may have."""
    legal = []
    for head in HEADS:
        try:
            legal.append(NetSpec("random", layers, head, height, width))
        except UserError:
            assert head.kind == "cosdot"  # too many elements, or sums too large for its square
    return legal


@st.composite
def qnets(draw: st.DrawFn, specs: st.SearchStrategy[NetSpec] | None = None) -> QNet:
    """A QNet of a drawn NetSpec; multipliers and shifts are those of its scales.

    Half of them have typical integers throughout; extreme ones leave less of the image to be seen behind them.
    """
    spec = draw(net_specs() if specs is None else specs)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    calm = draw(st.booleans())

    def kind(kinds: tuple[T, ...]) -> T:
        return kinds[0] if calm else draw(st.sampled_from(kinds))

    shared = any(isinstance(s.layer, Add) for s in spec.stages)  # then one scale for all, as Adds need
    n = len(spec.stages)
    scales = np.full(n, 0.03, np.float32) if shared else log_uniform(rng, *kind(SCALES), n)
    stages: list[QConv | None] = []
    for s in spec.stages:
        if isinstance(c := s.layer, Conv):
            weight = _weight(rng, kind(WEIGHTS), (c.cout, c.k, c.k, c.cin_group))
            bias = _bias(rng, kind(BIASES), weight)
            fitting = 60 / (73 * 73 * c.taps**0.5)  # of a random sum's spread to a quarter of the bytes
            low, high = (fitting / 2, fitting * 2) if kind(SHIFTS) == "fitting" else (2**-30.5, 0.99)
            real = log_uniform(rng, low, min(high, 0.99), c.cout)
            s_in = np.float64(scales[s.index - 1] if s.index else INPUT_SCALE)
            weight_scale = (real * scales[s.index] / s_in).astype(np.float32)
            m, shift = quantize_multiplier(s_in * weight_scale.astype(np.float64) / np.float64(scales[s.index]))
            stages.append(QConv(weight, bias, m, shift.astype(np.uint8), weight_scale, scales[s.index]))
        else:
            stages.append(None)
    head = _weight(rng, kind(WEIGHTS), (spec.head_size,))
    left = 2**31 - 1 - spec.head_peak * int(np.abs(head.astype(np.int64)).sum())
    bias_of_dot = draw(st.sampled_from((1234, 0, left, -left)))
    return QNet(spec, tuple(stages), QHead(head, bias_of_dot if spec.head.kind == "dot" else 0, np.float32(0.01)))


def _weight(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> NDArray[np.int8]:
    if kind == "random":
        return rng.integers(-127, 128, shape).astype(np.int8)
    sign = (
        rng.choice([-1, 1], shape)
        if kind == "saturated"
        else rng.choice([-1, 1], (shape[0],) + (1,) * (len(shape) - 1))
    )
    return (np.broadcast_to(sign, shape) * (0 if kind == "zero" else 127)).astype(np.int8)


def _bias(rng: np.random.Generator, kind: str, weight: NDArray[np.int8]) -> NDArray[np.int32]:
    left = ACC_BOUND - 1 - 256 * np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1)
    if kind == "random":
        return np.clip(rng.integers(-20_000, 20_001, len(weight)), -left, left).astype(np.int32)
    return (rng.choice([-1, 1], len(weight)) * (left if kind == "at the bound" else 0)).astype(np.int32)


def log_uniform(rng: np.random.Generator, low: float, high: float, n: int) -> NDArray[np.float32]:
    """n float32 between low and high, their logarithms uniform."""
    return np.exp(rng.uniform(np.log(low), np.log(high), n)).astype(np.float32)


@st.composite
def images(draw: st.DrawFn, spec: NetSpec) -> NDArray[np.uint8]:
    """An image for `spec`: random bytes, black, white, or bytes that are each 0 or 255."""
    kind, known = draw(st.sampled_from(IMAGES)), oracle.known_image(spec, draw(st.integers(1, 2**32 - 1)))
    if kind == "black and white":
        return np.where(known < 128, 0, 255).astype(np.uint8)
    return known if kind == "known" else np.full_like(known, 0 if kind == "black" else 255)


@st.composite
def thetas(draw: st.DrawFn, spec: NetSpec, *, tame: bool = False) -> NDArray[np.float32]:
    """θ for `spec`: normal numbers; unless `tame`, perhaps each row of a tensor times 10^−20…10^15, some rows zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wild = not tame and draw(st.booleans())
    theta = rng.normal(size=spec.params)
    for t in spec.tensors:
        rows = theta[t.offset : t.offset + t.size].reshape(t.shape[0], -1)
        if wild:
            rows *= 10.0 ** rng.uniform(-20, 15, (len(rows), 1)) * (rng.random((len(rows), 1)) < 0.8)
        elif t.name.endswith("weight"):
            rows *= (2 / rows.shape[1]) ** 0.5
    return theta.astype(np.float32)


def fitting_scales(spec: NetSpec, maps: tuple[NDArray[np.float64], ...]) -> NDArray[np.float32]:
    """Activation scales float32 (stages,) by which no value of these maps saturates; Adds share theirs."""
    return scales_of(spec, np.array([max(np.abs(m).max(), 1e-6) for m in maps]))
