"""C11 for every target, and the definition of what the others compute: one output at a time, four where they go."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE: tuple[str, ...] = ()  # of firmware/core: hm_dot.h and hm_sum.h are always there, as others serve not all


def serves(_: Kernel) -> bool:
    """Every kernel."""
    return True


def scratch(kernel: Kernel) -> int:
    """Bytes: the input under a k×k kernel, one group's, padding included."""
    return kernel.taps if kernel.k > 1 else 0


def facts(_: Kernel) -> dict[str, Any]:
    """Nothing: the templates need the kernel alone."""
    return {}
