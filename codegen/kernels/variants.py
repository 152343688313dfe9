"""The instruction sets that have kernels of their own. A stage that a variant does not serve gets the portable one.

A variant is a module of this folder with three names (CORE, serves, scratch), a folder of templates and its files in
firmware/core; hm_kernels.h says which compiler takes which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hyper_mcu.codegen.kernels import helium, portable
from hyper_mcu.codegen.kernels.kernel import Kernel


@dataclass(frozen=True)
class Variant:
    """name: of the folder of templates, and HM_<NAME> in C. core: files of firmware/core; serves: whether it has a
    template for a kernel; scratch: bytes that its kernel needs beside the rows, at a multiple of 8."""

    name: str
    core: tuple[str, ...]
    serves: Callable[[Kernel], bool]
    scratch: Callable[[Kernel], int]

    @property
    def macro(self) -> str:
        """The value of HM_KERNELS that selects it."""
        return f"HM_{self.name.upper()}"


PORTABLE = Variant("portable", portable.CORE, portable.serves, portable.scratch)
VARIANTS = (
    PORTABLE,
    Variant("helium", helium.CORE, helium.serves, helium.scratch),
)


def template(variant: Variant, kernel: Kernel) -> str:
    """The template of a kernel, in templates/."""
    return f"{(variant if variant.serves(kernel) else PORTABLE).name}/{kernel.kind}.h.j2"


def scratch(kernel: Kernel) -> int:
    """Bytes of scratch for a kernel, whatever the variant: the session has the same layout everywhere."""
    return max((v if v.serves(kernel) else PORTABLE).scratch(kernel) for v in VARIANTS)
