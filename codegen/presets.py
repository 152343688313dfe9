"""The named architectures of f, and the cost model by which they are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle, Stage
from hyper_mcu.codegen.plan import plan

PERSON_BYTES, PARAMS, MACS = 27_648, 23_500, 5_400_000  # budgets of `paper`
WIDEN = 16  # output channels whose weights a kernel widens to 16 bits at a time


@dataclass(frozen=True)
class Cost:
    """What a NetSpec costs: parameters, MACs, bytes of one person in flash, bytes of RAM by whole maps, by rows."""

    params: int
    macs: int
    person_bytes: int
    ram_maps: int
    ram_rows: int


def cost(spec: NetSpec) -> Cost:
    """Costs as DESIGN.md, "Cost model", counts them.

    person_bytes: weights + 9 bytes a channel (bias, multiplier, shift) + 256 of header.
    ram_maps: maps of the whole-map engine (`plan`) that are in use together; the session is 16 bytes more.
    ram_rows: estimate for a row engine: k−1 persistent input rows for each k×k Conv, the two widest rows in flight,
    what Adds hold back (the rows by which their branches differ), 16-bit weights of at most 16 output channels of a
    group, sums of the head; no stack, no state.
    """
    person = sum(c.cout * (c.taps + 9) for _, c in _convs(spec)) + spec.head_size + 256
    return Cost(spec.params, spec.macs, person, plan(spec).total, _ram_rows(spec))


def _ram_rows(spec: NetSpec) -> int:
    windows = sum((c.k - 1) * s.in_shape[1] * s.in_shape[2] for s, c in _convs(spec))
    flight = sum(sorted((s.out_shape[1] * s.out_shape[2] for s in spec.stages), reverse=True)[:2])
    widened = max(2 * min(c.cout_group, WIDEN) * c.taps for _, c in _convs(spec))
    lag = [s.layer.k // 2 if isinstance(s.layer, Conv) else 0 for s in spec.stages]  # rows behind its input
    held: dict[int, int] = {}  # bytes by the stage that waits
    for s in spec.stages:
        if isinstance(a := s.layer, Add):
            wait = sum(lag[a.of + 1 : s.index]) * s.out_shape[1] * s.out_shape[2]
            held[a.of] = max(held.get(a.of, 0), wait)
    head = 4 * spec.map_shape[2] if spec.head.pool else 16
    return windows + flight + sum(held.values()) + widened + head


def _convs(spec: NetSpec) -> list[tuple[Stage, Conv]]:
    return [(s, s.layer) for s in spec.stages if isinstance(s.layer, Conv)]


def same(k: int, cin: int, cout: int, groups: int = 1, stride: int = 1, relu: bool = True) -> Conv:
    """A Conv with SAME padding."""
    return Conv(k, stride, "same", cin, cout, groups, relu)


_PAPER = NetSpec(
    "paper@1",
    (
        same(3, 3, 16, stride=2),  # 56×56
        same(3, 16, 32, 4, stride=2),  # 28×28
        same(1, 32, 32),
        same(3, 32, 64, 8, stride=2),  # 14×14
        same(1, 64, 64, 2),
        same(3, 64, 64, 16),
        same(1, 64, 64, 2),
        same(3, 64, 64, 16, stride=2),  # 7×7
        same(1, 64, 96),
        same(1, 96, 20, relu=False),
    ),
    Head("cosdot"),
    norm="train-statistics",
)

# The paper's larger f, 0.037 M parameters and 5.7 M multiply-accumulates. A parameter costs 196 of them at 14×14 and 49
# at 7×7: the width is at 7×7, and the 1×1 stages at 14×14 have four groups to make room for it.
_LARGE = NetSpec(
    "large@1",
    (
        *_PAPER.layers[:4],
        same(1, 64, 64, 4),
        same(3, 64, 64, 16),
        same(1, 64, 64, 4),
        same(3, 64, 112, 16, stride=2),
        same(1, 112, 168),
        same(1, 168, 20, relu=False),
    ),
    Head("cosdot"),
    norm="train-statistics",
)

_NANO = NetSpec(
    "nano@1",
    (
        same(3, 3, 8, stride=2),
        same(3, 8, 16, 4, stride=2),
        same(1, 16, 16),
        Shuffle(4),
        same(3, 16, 16, 4),
        Add(2),
        same(3, 16, 16, 4, stride=2),
        same(1, 16, 8, relu=False),
    ),
    Head("cosdot"),
    height=32,
    width=32,
    norm="train-statistics",
)

PRESETS = {s.id: s for s in (_PAPER, _LARGE, _NANO)}


def preset(name: str) -> NetSpec:
    """The preset of that name (`paper@1`, or `paper` for its newest version); raises UserError for an unknown one."""
    matches = [s for key, s in PRESETS.items() if name in (key, key.split("@")[0])]
    if not matches:
        raise UserError("netspec", f"no preset {name}", " or ".join(PRESETS), name)
    return matches[-1]
