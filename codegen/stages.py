"""The stages of a Program as the engine runs them: which kernel, from where, to where."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.kernels.kernel import Kernel, describe, kernels
from hyper_mcu.codegen.netspec import Add, Stage
from hyper_mcu.codegen.program import Program


@dataclass(frozen=True)
class Call:
    """One stage as the engine runs it: its kernel; offset, scratch: of its map and of what the kernel works in, in the
    session's memory."""

    stage: Stage
    kernel: Kernel
    offset: int
    scratch: int

    @property
    def index(self) -> int:
        """The stage's number, HM_TAP's layer."""
        return self.stage.index

    @property
    def add_of(self) -> int | None:
        """The earlier stage that an Add adds; None for a Conv."""
        return self.stage.layer.of if isinstance(self.stage.layer, Add) else None

    @property
    def rows(self) -> int:
        """Rows of the map."""
        return self.stage.out_shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of the map."""
        return self.stage.out_shape[1] * self.stage.out_shape[2]

    @property
    def in_rows(self) -> int:
        """Rows of the input."""
        return self.stage.in_shape[0]

    @property
    def in_row_bytes(self) -> int:
        """Bytes of a row of the input."""
        return self.stage.in_shape[1] * self.stage.in_shape[2]

    @property
    def flip(self) -> int:
        """What turns a byte of the map into canonical int8 by exclusive or."""
        return 128 if self.kernel.relu else 0

    @property
    def text(self) -> str:
        """The stage in words."""
        return describe(self.stage)

    def top_row(self, y: str) -> str:
        """C expression of the first input row under output row `y`."""
        s, above = self.kernel.stride, self.stage.pad_before[0]
        return (y if s == 1 else f"{y} * {s}") + (f" - {above}" if above else "")


def calls(program: Program) -> tuple[Call, ...]:
    """The calls of a Program after all passes, in order; stages that need the same function have the same Kernel."""
    memory = program.memory
    assert memory is not None
    found = []
    for step, kernel in zip(program.steps, kernels(program.spec), strict=True):
        assert (step.store, step.padding) == (kernel.shuffle, kernel.padding if kernel.k > 1 else step.padding)
        i = step.stage.index
        found.append(Call(step.stage, kernel, memory.maps[i].offset, memory.scratch[i].offset))
    return tuple(found)
