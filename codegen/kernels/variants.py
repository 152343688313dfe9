"""The instruction sets that have kernels of their own. A stage that a variant does not serve gets the portable one.

A variant is a module of this folder with four names (CORE, serves, scratch, facts), a folder of templates and its
files in firmware/core; hm_kernels.h says which compiler takes which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kernels import dsp, helium, portable, tiled
from hyper_mcu.codegen.kernels.kernel import Kernel


@dataclass(frozen=True)
class Variant:
    """name: of the folder of templates, and HM_<NAME> in C. core: files of firmware/core; serves: whether it has a
    template for a kernel; scratch: bytes that its kernel needs beside the rows, at a multiple of 8; facts: what its
    templates need to know beside the kernel."""

    name: str
    core: tuple[str, ...]
    serves: Callable[[Kernel], bool]
    scratch: Callable[[Kernel], int]
    facts: Callable[[Kernel], dict[str, Any]]

    @property
    def macro(self) -> str:
        """The value of HM_KERNELS that selects it."""
        return f"HM_{self.name.upper()}"


PORTABLE = Variant("portable", portable.CORE, portable.serves, portable.scratch, portable.facts)
VARIANTS = (
    PORTABLE,
    Variant("dsp", dsp.CORE, dsp.serves, dsp.scratch, dsp.facts),
    Variant("helium", helium.CORE, helium.serves, helium.scratch, helium.facts),
    Variant("tiled", tiled.CORE, tiled.serves, tiled.scratch, tiled.facts),
)


def definition(name: str) -> list[str]:
    """What a compiler is told to define for the variant of that name; nothing for "", its own choice."""
    return [f"HM_KERNELS={variant_named(name).macro}"] if name else []


def variant_named(name: str) -> Variant:
    """The row of VARIANTS; raises UserError for a name that is not there."""
    for v in VARIANTS:
        if v.name == name:
            return v
    raise UserError("kernels", "unknown", "one of " + ", ".join(v.name for v in VARIANTS), name or "nothing")


def wrong_core(name: str, said: str) -> bool:
    """Whether a compiler's message is that the variant of that name is for other cores: hm_kernels.h says so."""
    return f'"{variant_named(name).macro} is for cores with ' in said


def template(variant: Variant, kernel: Kernel) -> tuple[str, dict[str, Any]]:
    """The template of a kernel, in templates/, and the facts for it."""
    v = serving(variant, kernel)
    return f"{v.name}/{kernel.kind}.h.j2", v.facts(kernel)


def serving(variant: Variant, kernel: Kernel) -> Variant:
    """The variant itself, or the portable one where it has no template for a kernel."""
    return variant if variant.serves(kernel) else PORTABLE


def scratch(kernel: Kernel) -> int:
    """Bytes of scratch for a kernel, whatever the variant: the session has the same layout everywhere."""
    return max(serving(v, kernel).scratch(kernel) for v in VARIANTS)
