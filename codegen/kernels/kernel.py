"""What a kernel is: the shapes of a stage as C needs them. Stages of the same shape share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyper_mcu.codegen.netspec import Add, NetSpec, Stage
from hyper_mcu.codegen.program import PIXEL_ZERO, folds


@dataclass(frozen=True)
class Kernel:
    """A C function for a strip of a stage's map, hm_<name>; its constants are those of the template.

    kind: dense (k > 1, one group), group (k > 1), pointwise (k = 1) or add. strip: most rows that one call computes.
    left: padding columns before a row; in_w, in_c, out_w, out_c: width and channels of the maps; shuffle: groups of
    the shuffle by which channels are stored (1: in order); padding: the byte that stands for zero in the input, 0 but
    for the image.
    """

    kind: str
    strip: int
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

    @property
    def right(self) -> int:
        """Padding columns behind a row."""
        return max((self.out_w - 1) * self.stride + self.k - self.left - self.in_w, 0)

    @property
    def padded_w(self) -> int:
        """Columns of an input row, padding included."""
        return self.left + self.in_w + self.right

    @property
    def in_rows(self) -> int:
        """Input rows under a whole strip."""
        return (self.strip - 1) * self.stride + self.k


def kernels(spec: NetSpec, strips: Sequence[int]) -> tuple[Kernel, ...]:
    """The kernel of each stage, which computes up to that many rows at a time."""
    plain = [kernel(stage, strip) for stage, strip in zip(spec.stages, strips, strict=True)]
    served = {k: [i for i, other in enumerate(plain) if other == k] for k in plain}
    named = {k: replace(k, name=f"stage{i[0]}_rows", title=_title(spec, i)) for k, i in served.items()}
    return tuple(named[k] for k in plain)


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


def kernel(s: Stage, strip: int) -> Kernel:
    """The kernel of one stage, not yet named."""
    (_, in_w, in_c), (_, out_w, out_c) = s.in_shape, s.out_shape
    add = Kernel(
        kind="add",
        strip=strip,
        k=1,
        stride=1,
        left=0,
        in_w=in_w,
        in_c=in_c,
        out_w=out_w,
        out_c=out_c,
        groups=1,
        shuffle=1 if folds(s) else s.shuffle,
        relu=True,
        padding=0,
    )
    if isinstance(c := s.layer, Add):
        return add
    padding = 0 if s.index else PIXEL_ZERO
    pointwise = replace(add, kind="pointwise", k=c.k, stride=c.stride, groups=c.groups, relu=c.relu, padding=padding)
    if c.k == 1:
        return pointwise
    kind = "group" if c.groups > 1 else "dense"
    return replace(pointwise, kind=kind, left=s.pad_before[1])


def _title(spec: NetSpec, stages: Sequence[int]) -> str:
    *others, last = map(str, stages)
    numbers = f"Stages {', '.join(others)} and {last}" if others else f"Stage {last}"
    return f"{numbers}: {describe(spec.stages[stages[0]])}"
