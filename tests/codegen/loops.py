"""f in loops over Python integers, written from TFLite's reference kernels; shares nothing with fixedpoint or oracle.

Sources in tensorflow/lite/kernels/internal: reference/integer_ops/conv.h (ConvPerChannel), reference/add.h
(AddElementwise for int8), common.h; fixedpoint/fixedpoint.h of gemmlowp for the two roundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyper_mcu.codegen.netspec import Conv
from hyper_mcu.codegen.qnet import QNet

Map = list[list[list[int]]]  # int8 values by row, column, channel


def int32(x: int) -> int:
    """x, which C would hold in an int32 without overflow."""
    assert -(2**31) <= x < 2**31
    return x


def c_divide(a: int, b: int) -> int:
    """C's division: truncation towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul."""
    if a == b == -(2**31):
        return 2**31 - 1
    ab = a * b
    nudge = (1 << 30) if ab >= 0 else (1 - (1 << 30))
    return int32(c_divide(ab + nudge, 1 << 31))


def divide_by_pot(x: int, exponent: int) -> int:
    """RoundingDivideByPOT."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def multiply(x: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier; shift as TFLite has it, positive to the left."""
    left, right = max(shift, 0), max(-shift, 0)
    return divide_by_pot(high_mul(int32(x * (1 << left)), multiplier), right)


def conv(x: Map, c: Conv, pad: tuple[int, int], out_shape: tuple[int, int, int], q: Any, offset: int) -> Map:
    """ConvPerChannel, filter (cout, k, k, cin/groups); offset: minus the zero point of the input."""
    height, width = len(x), len(x[0])
    output_offset, low = (-128, -128) if c.relu else (0, -128)
    weight, bias, multiplier, shift = (a.tolist() for a in (q.weight, q.bias, q.multiplier, q.shift))
    out = [[[0] * c.cout for _ in range(out_shape[1])] for _ in range(out_shape[0])]
    for out_y in range(out_shape[0]):
        for out_x in range(out_shape[1]):
            for out_channel in range(c.cout):
                group, acc = out_channel // c.cout_group, 0
                for filter_y in range(c.k):
                    in_y = out_y * c.stride - pad[0] + filter_y
                    for filter_x in range(c.k):
                        in_x = out_x * c.stride - pad[1] + filter_x
                        if not (0 <= in_y < height and 0 <= in_x < width):
                            continue  # zero padding by omitting the areas outside the image
                        for i in range(c.cin_group):
                            value = x[in_y][in_x][i + group * c.cin_group]
                            acc = int32(acc + weight[out_channel][filter_y][filter_x][i] * (value + offset))
                acc = int32(acc + bias[out_channel])
                y = multiply(acc, multiplier[out_channel], -shift[out_channel]) + output_offset
                out[out_y][out_x][out_channel] = min(max(y, low), 127)
    return out


def add(a: Map, b: Map) -> Map:
    """AddElementwise for int8 with equal scales and zero points −128, prepared as PrepareGeneral in add.cc does."""
    left_shift, half = 20, 1 << 30
    # s / (2s) = 0.5 = 2^30·2^-31, shift 0; 2s / (2^20·s) = 2^-19 = 2^30·2^-31·2^-18.
    output_shift = -18

    def one(p: int, q: int) -> int:
        scaled1 = multiply(int32((128 + p) * (1 << left_shift)), half, 0)
        scaled2 = multiply(int32((128 + q) * (1 << left_shift)), half, 0)
        return min(max(multiply(int32(scaled1 + scaled2), half, output_shift) - 128, -128), 127)

    return [
        [[one(p, q) for p, q in zip(u, v, strict=True)] for u, v in zip(r, s, strict=True)]
        for r, s in zip(a, b, strict=True)
    ]


def shuffle(x: Map, groups: int) -> Map:
    """Channel i of group g goes to place i·groups + g."""
    size = len(x[0][0]) // groups
    return [[[p[g * size + i] for i in range(size) for g in range(groups)] for p in row] for row in x]


def logit(qnet: QNet, last: Map) -> int:
    """The head's integer, from the definition."""
    spec, weight = qnet.spec, qnet.head.weight.tolist()
    zero = 0 if spec.linear_end else 128
    pixels = [[v + zero for v in p] for row in last for p in row]
    u = [sum(p[i] for p in pixels) for i in range(len(pixels[0]))] if spec.head.pool else [v for p in pixels for v in p]
    num = int32(sum(a * b for a, b in zip(u, weight, strict=True)))
    if spec.head.kind == "dot":
        return int32(num + qnet.head.bias)
    norm, bits = sum(a * a for a in u), 9 if len(u) <= 128 else 6
    if norm == 0:
        return -(2**31)
    return int32(c_divide(num * abs(num) * 2**bits, norm))


def run(qnet: QNet, image: Sequence[Sequence[Sequence[int]]]) -> tuple[list[Map], int]:
    """Every stage's bytes and the logit."""
    x: Map = [[[v - 128 for v in p] for p in row] for row in image]
    maps: list[Map] = []
    for s, q in zip(qnet.spec.stages, qnet.stages, strict=True):
        if isinstance(c := s.layer, Conv):
            x = conv(x, c, s.pad_before, s.out_shape, q, 128 if maps else 0)
        else:
            x = add(x, maps[c.of])
        x = shuffle(x, s.shuffle)
        maps.append(x)
    return maps, logit(qnet, x)
