"""The DSP instructions of Armv7E-M and Armv8-M: two products an instruction, four outputs at a time."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_dsp.h",)  # of firmware/core
CHANNEL, BLOCK = 28, 8  # bytes of hm_dsp_channel and hm_dsp_block


def serves(kernel: Kernel) -> bool:
    """3x3 over groups of four channels, four pixels a row at least."""
    return kernel.kind == "group" and kernel.k == 3 and kernel.in_g == 4 and kernel.relu and kernel.out_w >= 4


def scratch(kernel: Kernel) -> int:
    """Bytes."""
    return 72 + CHANNEL + BLOCK * kernel.strip * -(-kernel.out_w // 4) + kernel.in_rows * 8 * pitch(kernel)


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the templates need to know beside the kernel."""
    return {"pitch": pitch(kernel)}


def pitch(kernel: Kernel) -> int:
    """Words of a row of a plane."""
    return (kernel.out_w - 1) * kernel.stride + 3
