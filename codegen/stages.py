"""The stages of a Program as the engine runs them: which kernel, from where, to where."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from hyper_mcu.codegen.kernels.kernel import Kernel, describe, kernels
from hyper_mcu.codegen.netspec import Add, Stage
from hyper_mcu.codegen.program import Program
from hyper_mcu.codegen.schedule import ALIGN


@dataclass(frozen=True)
class Call:
    """One stage as the engine runs it: its kernel, and the offset of what that works in, in the session's memory.

    wait: rows before it begins. places: index of its first row in hm_places; places_of_input, places_of_other: of the
    map before it, of that which an Add adds.
    """

    stage: Stage
    kernel: Kernel
    scratch: int
    wait: int
    places: int
    places_of_input: int
    places_of_other: int

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
    def flip(self) -> int:
        """What turns a byte of the map into canonical int8 by exclusive or."""
        return 128 if self.kernel.relu else 0

    @property
    def text(self) -> str:
        """The stage in words."""
        return describe(self.stage)

    @property
    def row_facts(self) -> tuple[int, ...]:
        """The members of hm_stage."""
        k, above = self.kernel, self.stage.pad_before[0]
        places = (self.places, self.places_of_input)
        return (self.rows, self.stage.in_shape[0], *places, k.k, k.stride, above, self.wait, k.strip)


def calls(program: Program) -> tuple[Call, ...]:
    """The calls of a Program after all passes, in order; stages that need the same function have the same Kernel."""
    memory, found = program.memory, list[Call]()
    assert memory is not None
    firsts = list(accumulate((len(rows) for rows in memory.rows), initial=0))
    for step, kernel in zip(program.steps, kernels(program.spec, memory.schedule.strips), strict=True):
        stage = step.stage
        assert (step.store, step.padding) == (kernel.shuffle, kernel.padding if kernel.k > 1 else step.padding)
        other = firsts[stage.layer.of + 1] if isinstance(stage.layer, Add) else 0
        place = (firsts[stage.index + 1], firsts[stage.index], other)
        found.append(Call(stage, kernel, memory.scratch[stage.index], memory.schedule.waits[stage.index], *place))
    return tuple(found)


def places(program: Program) -> list[str]:
    """The lines of hm_places: offsets of rows in units of 8 bytes, one map after the other."""
    assert program.memory is not None
    lines = []
    for rows in program.memory.rows:
        words = ["HM_NOT_KEPT" if offset is None else str(offset // ALIGN) for offset in rows]
        lines += [", ".join(words[i : i + 24]) for i in range(0, len(words), 24)]
    return lines
