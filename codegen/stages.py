"""The stages of a Program as C sees them: the kernels that they need, and how the engine calls them.

A kernel computes one row of a stage's map; stages of the same shape share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyper_mcu.codegen.netspec import Add, NetSpec, Stage
from hyper_mcu.codegen.program import Program, Step


@dataclass(frozen=True)
class Kernel:
    """A C function for one row of a stage's map: its template and the constants in it.

    left: padding columns before the row; in_w, in_c, out_w, out_c: width and channels of the maps; padding: the byte
    that stands for zero in the input.
    """

    template: str
    k: int
    stride: int
    left: int
    in_w: int
    in_c: int
    out_w: int
    out_c: int
    groups: int
    shuffle: int
    relu: bool
    padding: int
    name: str = ""
    title: str = ""

    @property
    def in_g(self) -> int:
        """Input channels a group."""
        return self.in_c // self.groups

    @property
    def out_g(self) -> int:
        """Output channels a group."""
        return self.out_c // self.groups

    @property
    def taps(self) -> int:
        """Products a sum."""
        return self.k * self.k * self.in_g


@dataclass(frozen=True)
class Call:
    """One stage as the engine runs it: its kernel; offset: of its map, in the session's memory."""

    stage: Stage
    kernel: Kernel
    offset: int

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
    assert program.memory is not None
    served: dict[Kernel, list[int]] = {}
    for step in program.steps:
        served.setdefault(_kernel(step), []).append(step.stage.index)
    named = {k: replace(k, name=f"stage{i[0]}_row", title=_title(program.spec, i)) for k, i in served.items()}
    maps = program.memory.maps
    return tuple(Call(s.stage, named[_kernel(s)], maps[s.stage.index].offset) for s in program.steps)


def describe(s: Stage) -> str:
    """A stage in words, ASCII."""
    (h, w, cin), (oh, ow, cout) = s.in_shape, s.out_shape
    tail = f", shuffled in {s.shuffle} groups" if s.shuffle > 1 else ""
    if isinstance(c := s.layer, Add):
        return f"sum of stages {c.of} and {s.index - 1}, {oh}x{ow}x{cout}{tail}"
    groups = f" in {c.groups} groups of {c.cin_group} to {c.cout_group}" if c.groups > 1 else ""
    stride = f", stride {c.stride}" if c.stride > 1 else ""
    linear = "" if c.relu else ", linear"
    return f"{c.k}x{c.k}{stride}, {h}x{w}x{cin} to {oh}x{ow}x{cout}{groups}{linear}{tail}"


def _kernel(step: Step) -> Kernel:
    s = step.stage
    (_, in_w, in_c), (_, out_w, out_c) = s.in_shape, s.out_shape
    add = Kernel(
        template="add.h.j2",
        k=1,
        stride=1,
        left=0,
        in_w=in_w,
        in_c=in_c,
        out_w=out_w,
        out_c=out_c,
        groups=1,
        shuffle=step.store,
        relu=True,
        padding=0,
    )
    if isinstance(c := s.layer, Add):
        return add
    pointwise = replace(add, template="pointwise.h.j2", k=c.k, stride=c.stride, groups=c.groups, relu=c.relu)
    if c.k == 1:
        return pointwise
    template = "group.h.j2" if c.groups > 1 else "dense.h.j2"
    return replace(pointwise, template=template, left=s.pad_before[1], padding=step.padding)


def _title(spec: NetSpec, stages: Sequence[int]) -> str:
    *others, last = map(str, stages)
    numbers = f"Stages {', '.join(others)} and {last}" if others else f"Stage {last}"
    return f"{numbers}: {describe(spec.stages[stages[0]])}"
