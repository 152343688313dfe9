"""C11 for every target, and the definition of what the others compute: one output at a time, four where they go."""

from __future__ import annotations

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_dot.h",)  # of firmware/core


def serves(_: Kernel) -> bool:
    """Every kernel."""
    return True


def scratch(kernel: Kernel) -> int:
    """Bytes: the input under a k×k kernel, one group's, padding included."""
    return kernel.taps if kernel.k > 1 else 0
