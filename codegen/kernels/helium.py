"""Helium, the vectors of Armv8.1-M: sixteen products an instruction, four pixels of one or two channels at a time."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_helium.h",)  # of firmware/core
LANES = 16
MOST = 0xFFFF  # of what hm_helium and its offsets hold in 16 bits
PLACES = 256  # of a pixel, that the offsets of a shuffled Add hold in 8 bits


def serves(kernel: Kernel) -> bool:
    """Every convolution whose sizes fit 16 bits: the pitch, a pixel's inputs, and four pixels' outputs. Every Add whose
    places fit 8."""
    if kernel.kind == "add":
        return kernel.shuffle == 1 or kernel.out_c <= PLACES
    return max(pitch(kernel), kernel.in_c, 4 * kernel.out_c) <= MOST


def scratch(kernel: Kernel) -> int:
    """Bytes: one group's input, padding included, under a strip; under one row for a pointwise kernel."""
    if kernel.kind == "add":
        return 0
    return pitch(kernel) * (kernel.in_rows if kernel.k > 1 else 1)


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the templates need to know beside the kernel; of an Add nothing."""
    if kernel.kind == "add":
        return {}
    channels, steps = _in_registers(kernel)
    return {"channels": channels, "steps": steps, "pitch": pitch(kernel)}


def pitch(kernel: Kernel) -> int:
    """Bytes of a row of one group's input in scratch: what vectors store there, and what they load."""
    stored = kernel.padded_w * kernel.in_g + LANES
    pixels = -(-kernel.out_w // 4) * 4
    loaded = (pixels - 1) * kernel.stride * kernel.in_g + _whole(kernel.k * kernel.in_g)
    return _whole(max(stored, loaded))


def _in_registers(kernel: Kernel) -> tuple[str, int]:
    """Which function keeps weights in registers, hm_helium_pairs (of two output channels) or hm_helium_ones, and its
    vectors a channel; "" and 0 for hm_helium_any, which keeps none."""
    line = kernel.k * kernel.in_g
    if kernel.relu and kernel.out_g % 2 == 0 and kernel.stride * kernel.in_g * 3 + LANES < 128:
        if kernel.k == 3 and line <= LANES:
            return "pairs", 3
        if kernel.k == 1 and LANES < line <= 2 * LANES:
            return "pairs", 2
    if kernel.k == 1 and line <= 6 * LANES:
        return "ones", _whole(line) // LANES
    return "", 0


def _whole(size: int) -> int:
    return -(-size // LANES) * LANES
