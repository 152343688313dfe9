"""The DSP instructions of Armv7E-M and Armv8-M: two products an instruction, four or seven outputs at a time;
of an Add four sums an instruction."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_dsp.h", "hm_dsp_3x3.h", "hm_dsp_image.h", "hm_dsp_1x1.h")  # of firmware/core
CHANNEL, WALK, BLOCK, PAIR = 36, 60, 8, 52  # bytes of hm_dsp_channel, hm_dsp_walk, hm_dsp_block, hm_dsp_pair
BIASES = 36  # bytes before those of a hm_dsp_pair
GROUP, IMAGE = 92, 60  # bytes of a channel's weights, widened
ROOM = 1_800  # bytes for a pointwise kernel's input, if a row does not need more
STEPS = 8  # most that are written out, of four channels each
FOUR, SEVEN = 130, 234  # instructions of a block of four and of seven outputs, over groups at stride 2
MOST = 0xFFFF  # of what hm_dsp holds in 16 bits
ADD, LDRD = 4_095, 1_020  # what the constants of these instructions reach


def serves(kernel: Kernel) -> bool:
    """What f is made of: 3x3 over groups of four channels, 3x3 with stride 2 over an image of three, 1x1 from a
    multiple of four channels to an even number, a group each, and every Add."""
    if kernel.kind == "add":
        return True
    return (_group(kernel) or _image(kernel) or _pointwise(kernel)) and max(facts(kernel)["shape"]) <= MOST


def scratch(kernel: Kernel) -> int:
    """Bytes: weights and what belongs to them, where the outputs go, the input under a strip or a part of it."""
    if kernel.kind == "add":
        return 0
    if kernel.kind == "pointwise":
        n = rows(kernel) * kernel.out_w
        return _weights(kernel) + PAIR + (n + 1) // 2 * (BLOCK + 4 * kernel.in_g)
    weights, row = (IMAGE + CHANNEL, 4) if kernel.kind == "dense" else (GROUP + WALK, 8)
    return weights + BLOCK * kernel.strip * blocks(kernel) + kernel.in_rows * row * pitch(kernel)


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the templates need to know beside the kernel: `shape`, the members of hm_dsp in order; of an image `next`,
    of a pointwise kernel `steps` that are written out, in so many `parts`, the `bytes` of weights, `rows` at a time; of
    an Add nothing."""
    k = kernel
    if k.kind == "add":
        return {}
    sizes = (k.stride, k.left, k.in_w, k.in_c, k.in_g, k.out_w, k.out_c, k.out_g, k.shuffle)
    if k.kind != "pointwise":
        return {"shape": (*sizes, pitch(k), block(k), blocks(k), k.padding), "next": _next(k)}
    steps = _steps(k)
    shape = (*sizes, 0, 2, 0, k.padding)
    return {"shape": shape, "steps": steps, "parts": k.in_g // 4 // steps, "bytes": _weights(k), "rows": rows(k)}


def pitch(kernel: Kernel) -> int:
    """Words of a row in scratch, of a plane (a pair of channels) or of the image: what is stored there or loaded."""
    if kernel.kind == "dense":
        return max(-(-3 * kernel.in_w // 2), 3 * kernel.out_w + 2)
    return kernel.padded_w


def block(kernel: Kernel) -> int:
    """Outputs that a 3x3 kernel computes at a time: seven, or four where that takes fewer instructions a row."""
    fewer = -(-kernel.out_w // 4) * FOUR <= -(-kernel.out_w // 7) * SEVEN
    return 4 if kernel.kind == "dense" or (kernel.stride == 2 and fewer) else 7


def blocks(kernel: Kernel) -> int:
    """Blocks of a row; the last one computes some outputs again where the row is no multiple."""
    return -(-kernel.out_w // block(kernel))


def rows(kernel: Kernel) -> int:
    """Rows whose input a pointwise kernel widens at a time."""
    return min(max(ROOM // (2 * kernel.in_g * kernel.out_w), 1), kernel.strip)


def _group(kernel: Kernel) -> bool:
    shape = kernel.kind == "group" and kernel.k == 3 and kernel.in_g == 4 and kernel.relu and kernel.padding == 0
    return shape and kernel.out_w >= block(kernel)


def _image(kernel: Kernel) -> bool:
    shape = kernel.kind == "dense" and kernel.k == 3 and kernel.in_c == 3 and kernel.stride == 2 and not kernel.left
    return shape and kernel.relu and kernel.out_w >= 4 and _next(kernel) <= ADD


def _pointwise(kernel: Kernel) -> bool:
    shape = kernel.kind == "pointwise" and kernel.in_g % 4 == 0 and kernel.out_g % 2 == 0
    return shape and _weights(kernel) + BIASES <= LDRD


def _next(kernel: Kernel) -> int:
    """Bytes from the 14 words of an image's row that four outputs read, five each from three further on, to the next
    row."""
    return 4 * (pitch(kernel) - 14)


def _steps(kernel: Kernel) -> int:
    """Steps that are written out: all of them, or a part that divides them."""
    steps = kernel.in_g // 4
    return next(n for n in range(STEPS, 0, -1) if steps % n == 0)


def _weights(kernel: Kernel) -> int:
    """Bytes of two channels' weights: four words a step, and one a part where there are several."""
    steps = kernel.in_g // 4
    parts = steps // _steps(kernel)
    return 16 * steps + (4 * parts if parts > 1 else 0)
