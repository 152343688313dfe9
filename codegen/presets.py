"""The named architectures of f, and the cost model by which they are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle

PERSON_BYTES, PARAMS, MACS = 27_648, 23_500, 5_400_000  # budgets of `paper`
WIDEN = 16  # output channels whose weights a kernel widens to 16 bits at a time


@dataclass(frozen=True)
class Cost:
    """What a NetSpec costs: parameters, MACs, bytes of one person in flash, bytes of RAM by two ways of running it."""

    params: int
    macs: int
    person_bytes: int
    ram_maps: int
    ram_rows: int


def cost(spec: NetSpec) -> Cost:
    """Cost model of the design page.

    person_bytes: weights + 9 bytes a channel (bias, multiplier, shift) + 256 of header.
    ram_maps: largest input + output pair of whole int8 maps, maps waiting for an Add included, without the caller's image.
    ram_rows: k−1 persistent input rows for each k×k Conv, the two widest rows in flight, what an Add holds back (the rows
    by which its branches differ), 16-bit weights of at most 16 output channels of a group, sums of the head.
    """
    weights = channels = widened = rows = 0
    lag: list[int] = []  # rows of the image that a stage is behind, in its own rows
    held = 0
    for s in spec.stages:
        if isinstance(c := s.layer, Conv):
            weights += c.cout * c.taps
            channels += c.cout
            widened = max(widened, 2 * min(c.cout_group, WIDEN) * c.taps)
            rows += (c.k - 1) * s.in_shape[1] * s.in_shape[2]
            lag.append(c.k // 2 if c.k > 1 else 0)
        else:
            behind = sum(lag[s.layer.of + 1 :])
            held += behind * s.out_shape[1] * s.out_shape[2]
            lag.append(0)
    flight = sorted((s.out_shape[1] * s.out_shape[2] for s in spec.stages), reverse=True)[:2]
    head = 4 * spec.map_shape[2] if spec.head.pool else 16
    waiting = [
        sum(_bytes(spec, o) for o in {a.layer.of for a in spec.stages if isinstance(a.layer, Add) and a.layer.of < s.index - 1 and a.index >= s.index})
        for s in spec.stages
    ]  # fmt: skip
    pairs = [
        (_bytes(spec, s.index - 1) if s.index else 0) + _bytes(spec, s.index) + w
        for s, w in zip(spec.stages, waiting, strict=True)
    ]
    person = weights + spec.head_size + 9 * channels + 256
    return Cost(spec.params, spec.macs, person, max(pairs), rows + sum(flight) + held + widened + head)


def _bytes(spec: NetSpec, stage: int) -> int:
    h, w, c = spec.stages[stage].out_shape
    return h * w * c


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

PRESETS = {s.id: s for s in (_PAPER, _NANO)}


def preset(name: str) -> NetSpec:
    """The preset of that name (`paper@1`, or `paper` for its newest version); raises UserError for an unknown one."""
    matches = [s for key, s in PRESETS.items() if name in (key, key.split("@")[0])]
    if not matches:
        raise UserError("netspec", f"no preset {name}", " or ".join(PRESETS), name)
    return matches[-1]
