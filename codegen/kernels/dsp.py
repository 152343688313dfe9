"""The DSP instructions of Armv7E-M and Armv8-M: two products an instruction, four outputs at a time."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_dsp.h",)  # of firmware/core
CHANNEL, BLOCK = 36, 8  # bytes of hm_dsp_channel and hm_dsp_block


def serves(kernel: Kernel) -> bool:
    """3x3 over groups of four channels, four pixels a row at least."""
    if not kernel.relu or kernel.out_w < 4 or kernel.k != 3:
        return False
    return (kernel.kind == "group" and kernel.in_g == 4) or _image(kernel)


def _image(kernel):
    return kernel.kind == "dense" and kernel.k == 3 and kernel.in_c == 3 and kernel.stride == 2


def scratch(kernel: Kernel) -> int:
    """Bytes."""
    if _image(kernel):
        return 60 + CHANNEL + BLOCK * kernel.strip * -(-kernel.out_w // 4) + kernel.in_rows * 2 * pitch(kernel)
    return 72 + CHANNEL + BLOCK * kernel.strip * -(-kernel.out_w // 4) + kernel.in_rows * 8 * pitch(kernel)


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the templates need to know beside the kernel."""
    return {"pitch": pitch(kernel)}


def pitch(kernel: Kernel) -> int:
    """Words of a row of a plane; for the image, halves of words of a row."""
    if _image(kernel):
        return 2 * (kernel.out_w * 3 + 2)
    return (kernel.out_w - 1) * kernel.stride + 3
