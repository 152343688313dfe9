"""The integer oracle: the arithmetic of f in NumPy, written for reading; every implementation gives these bytes.

Maps are held as u, int64 (H, W, C): the real value of an element is u·scale. u = x − 128 for the image, 0…255 behind a
ReLU, −128…127 behind a linear last stage; the byte that is hashed is u − 128, and u itself in the last case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyper_mcu.codegen.digest import layers_sha256
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import cosdot, requantise
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec
from hyper_mcu.codegen.qnet import QConv, QNet

Number = TypeVar("Number", np.int64, np.float64)
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Requantise = Callable[[ArrayLike, ArrayLike, ArrayLike], Int64]  # accumulators, multipliers, shifts

COLUMNS = 1 << 22  # numbers that a convolution lays out at once, where a row is not more


@dataclass(frozen=True)
class Result:
    """layers: the bytes of every stage, int8 (H, W, C) in canonical order (after its shuffle); logit: int32."""

    layers: tuple[NDArray[np.int8], ...]
    logit: int

    @property
    def layers_sha256(self) -> str:
        """The hash over all layers and the logit (hex), equal on every implementation."""
        return layers_sha256([layer.tobytes() for layer in self.layers], self.logit)


@dataclass(frozen=True)
class FloatResult:
    """maps: the real values of every stage, float64 (H, W, C) in canonical order; score: b + Σw·u of Dot, the cosine of
    CosDot (NaN where a side is zero)."""

    maps: tuple[Float64, ...]
    score: float


def run(qnet: QNet, image: NDArray[np.uint8], rounding: Requantise = requantise) -> Result:
    """f on one crop, uint8 (height, width, channels); raises UserError for another shape or type.

    rounding: another requantisation, for comparison with runtimes that have one."""
    u = _pixels(qnet.spec, image)
    maps: list[Int64] = []
    layers: list[NDArray[np.int8]] = []
    for stage, q in zip(qnet.spec.stages, qnet.stages, strict=True):
        zero = 128
        if isinstance(c := stage.layer, Add):
            u = np.minimum(u + maps[c.of], 255)
        elif q is not None:
            u = _conv(c, q, u, rounding)
            zero = 128 if c.relu else 0
        u = shuffled(u, stage.shuffle)
        maps.append(u)
        layers.append((u - zero).astype(np.int8))
    return Result(tuple(layers), head(qnet, u))


def _conv(c: Conv, q: QConv, u: Int64, rounding: Requantise) -> Int64:
    """One Conv before its shuffle: sums, requantisation, ReLU."""
    products = convolve(c, u.astype(np.float64), q.weight.astype(np.float64))
    acc = products.astype(np.int64) + q.bias  # floating point is exact here: sums of integers, below 2^30
    y = rounding(acc, q.multiplier, q.shift)
    return np.clip(y, 0, 255) if c.relu else np.clip(y, -128, 127)


def convolve(c: Conv, x: Float64, weight: Float64) -> Float64:
    """Grouped convolution without bias: x (H, W, cin), weight (cout, k, k, cin/groups) → (H', W', cout).

    Padding is the real value zero, in rows and columns as TFLite counts them.
    """
    size = x.shape[:2]
    (out_h, top), (out_w, left) = c.window(size[0]), c.window(size[1])
    bottom = max((out_h - 1) * c.stride + c.k - size[0] - top, 0)
    right = max((out_w - 1) * c.stride + c.k - size[1] - left, 0)
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)))
    windows: Float64 = np.lib.stride_tricks.sliding_window_view(padded, (c.k, c.k), (0, 1))[:: c.stride, :: c.stride]
    kernels = weight.reshape(c.groups, c.cout_group, c.taps).transpose(0, 2, 1)
    rows = max(1, COLUMNS // (out_w * c.groups * c.taps))
    out = [_products(c, windows[y : y + rows], kernels) for y in range(0, out_h, rows)]
    return np.concatenate(out)


def _products(c: Conv, windows: Float64, kernels: Float64) -> Float64:
    """Some rows of a convolution by im2col, group by group: windows (h, W', cin, k, k), kernels (groups, taps,
    cout/groups) → (h, W', cout)."""
    h, w = windows.shape[:2]
    windows = windows.reshape(h * w, c.groups, c.cin_group, c.k, c.k)
    columns = windows.transpose(1, 0, 3, 4, 2).reshape(c.groups, h * w, c.taps)
    out: Float64 = (columns @ kernels).transpose(1, 0, 2).reshape(h, w, c.cout)
    return out


def shuffled(x: NDArray[Number], groups: int) -> NDArray[Number]:
    """Channel shuffle of x (H, W, C): the (groups, C/groups) → (C/groups, groups) transposition; none for groups 1."""
    return x[..., shuffle_order(x.shape[2], groups)]


def shuffle_order(channels: int, groups: int) -> Int64:
    """The channel that a shuffle brings to place 0, 1, …"""
    order: Int64 = np.arange(channels).reshape(groups, channels // groups).T.ravel()
    return order


def head(qnet: QNet, u: Int64) -> int:
    """The logit of the last map u: Dot or CosDot of its elements, or of its channel sums."""
    spec = qnet.spec
    v = u.sum((0, 1)) if spec.head.pool else u.ravel()
    num = int(v @ qnet.head.weight.astype(np.int64))
    return num + qnet.head.bias if spec.head.kind == "dot" else cosdot(num, int(v @ v), v.size)


def known_image(spec: NetSpec, seed: int) -> NDArray[np.uint8]:
    """The image of the known-answer test, uint8 (height, width, channels), from xorshift32 (Marsaglia 2003).

    state = seed, 1…2^32−1. For each byte in memory order (row by row, pixel by pixel, channel by channel), in 32-bit
    unsigned arithmetic: state ^= state << 13; state ^= state >> 17; state ^= state << 5; byte = state >> 24.
    """
    if not 0 < seed < 2**32:
        raise UserError("known image", "seed", "1…2^32−1", seed)
    state, data = seed, bytearray(spec.input_bytes)
    for i in range(len(data)):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        data[i] = state >> 24
    return np.frombuffer(data, np.uint8).reshape(spec.height, spec.width, spec.channels)


def run_float(spec: NetSpec, theta: NDArray[np.float32], image: NDArray[np.uint8]) -> FloatResult:
    """f in real numbers: θ float32 (params,), folded, on one crop; what the integers approximate."""
    named = {t.name: theta[t.offset : t.offset + t.size].reshape(t.shape).astype(np.float64) for t in spec.tensors}
    x, maps = _pixels(spec, image) / 128, list[Float64]()
    for stage in spec.stages:
        if isinstance(c := stage.layer, Conv):
            name = f"stage{stage.index}"
            x = convolve(c, x, named[f"{name}.weight"]) + named[f"{name}.bias"]
            x = np.maximum(x, 0) if c.relu else x
        else:
            x = x + maps[c.of]
        x = shuffled(x, stage.shuffle)
        maps.append(x)
    v, w = x.sum((0, 1)) if spec.head.pool else x.ravel(), named["head.weight"]
    if spec.head.kind == "dot":
        return FloatResult(tuple(maps), float(v @ w + named["head.bias"][0]))
    norm = float(np.sqrt((v @ v) * (w @ w)))
    return FloatResult(tuple(maps), float(v @ w) / norm if norm else float("nan"))


def _pixels(spec: NetSpec, image: NDArray[np.uint8]) -> Int64:
    shape = (spec.height, spec.width, spec.channels)
    if image.shape != shape or image.dtype != np.uint8:
        raise UserError("image", "shape and type", f"uint8 {shape}", f"{image.dtype} {image.shape}")
    return image.astype(np.int64) - 128
