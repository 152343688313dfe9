"""The named architectures of f, and the cost model by which they are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import session_bytes
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle

PERSON_BYTES, PARAMS, MACS = 27_648, 23_500, 5_400_000  # budgets of `paper`


@dataclass(frozen=True)
class Cost:
    """What a NetSpec costs: parameters, MACs, bytes of one person in flash, bytes of RAM."""

    params: int
    macs: int
    person_bytes: int
    ram_bytes: int


def cost(spec: NetSpec) -> Cost:
    """Costs as DESIGN.md, "Cost model", counts them.

    person_bytes: weights + 9 bytes a channel (bias, multiplier, shift) + 256 of header.
    ram_bytes: the session that the engine needs, by its plan (`layout.session_bytes`); no stack.
    """
    convs = [s.layer for s in spec.stages if isinstance(s.layer, Conv)]
    person = sum(c.cout * (c.taps + 9) for c in convs) + spec.head_size + 256
    return Cost(spec.params, spec.macs, person, session_bytes(spec))


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
