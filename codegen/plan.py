"""Where the maps of a verification lie in the session's memory: fixed offsets, chosen before any C is emitted.

Whole-map engine: a stage's map lives from the step that writes it to the last step that reads it. Step i computes stage
i; the head is the step behind the last stage. The image stays the caller's: only the rows that the first layer still
needs are kept, during step 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from hyper_mcu.codegen.kernels.kernel import kernels
from hyper_mcu.codegen.kernels.variants import scratch
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec
from hyper_mcu.codegen.program import Program

TRIES = 20_000  # placements tried to reach the lower bound, before a first fit has to do
ALIGN = 8  # bytes, of every buffer: kernels load words, and the session holds a 64-bit member


@dataclass(frozen=True)
class Buffer:
    """`size` bytes at `offset`, in use from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size

    def meets(self, other: Buffer) -> bool:
        """Whether both are in use at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """The memory of a session.

    maps: a Buffer for each stage's map; an Add takes the place of an input that nobody reads again. scratch: for each
    stage what its kernel works in.
    image_rows: the k−1 image rows that a k×k first layer goes back to; image_row: the row that the self-test makes.
    total: bytes, a multiple of 8; bound: most bytes in use at one step, below which no plan can go.
    """

    maps: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]
    image_rows: Buffer
    image_row: Buffer
    total: int
    bound: int


def place(program: Program) -> Program:
    """The pass that plans the maps of a Program whose steps are stages."""
    return replace(program, memory=plan(program.spec))


@cache
def plan(spec: NetSpec) -> Plan:
    """Plans the maps of `spec`: bound bytes for a chain (maps at alternating ends), and mostly with Adds too."""
    first = spec.stages[0].layer
    assert isinstance(first, Conv)
    row = spec.width * spec.channels
    owner, lives = _lives(spec)
    blocks = [lives[i] for i in sorted(lives)]
    rows = [Buffer((first.k - 1) * row, 0, 0), Buffer(row, 0, 0)]
    works = [Buffer(scratch(kernel), i, i) for i, kernel in enumerate(kernels(spec))]
    wanted = [replace(b, size=_aligned(b.size)) for b in blocks + rows + works]
    bound = max(sum(b.size for b in wanted if b.first <= step <= b.last) for step in range(len(owner) + 1))
    placed = _place(wanted, bound)
    offset = dict(zip(sorted(lives), (b.offset for b in placed), strict=False))
    maps = tuple(replace(b, offset=offset[owner[i]]) for i, b in enumerate(_maps(spec)))
    image_rows, image_row, *works = placed[len(blocks) :]
    return Plan(maps, tuple(works), image_rows, image_row, max(b.end for b in placed), bound)


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _maps(spec: NetSpec) -> list[Buffer]:
    """Each stage's map with its life, not yet placed."""
    last = [s.index + 1 for s in spec.stages]
    for s in spec.stages:
        if isinstance(s.layer, Add):
            last[s.layer.of] = max(last[s.layer.of], s.index)
    return [
        Buffer(s.out_shape[0] * s.out_shape[1] * s.out_shape[2], s.index, end)
        for s, end in zip(spec.stages, last, strict=True)
    ]


def _lives(spec: NetSpec) -> tuple[list[int], dict[int, Buffer]]:
    """For each stage the stage whose memory its map takes (itself, unless an Add in place), and each memory's life."""
    maps = _maps(spec)
    owner = list(range(len(maps)))
    for s in spec.stages:
        if isinstance(s.layer, Add) and s.shuffle == 1:  # a shuffle moves bytes, so it cannot be done in place
            owner[s.index] = next(
                (owner[i] for i in (s.index - 1, s.layer.of) if maps[i].last == s.index), owner[s.index]
            )
    lives = {o: replace(maps[o], last=max(m.last for m, i in zip(maps, owner, strict=True) if i == o)) for o in owner}
    return owner, lives


def _place(buffers: Sequence[Buffer], bound: int) -> list[Buffer]:
    """The buffers with offsets: within `bound` if a search of TRIES placements finds it, else by first fit."""
    tries = TRIES

    def search(rest: Sequence[Buffer], placed: tuple[Buffer, ...]) -> tuple[Buffer, ...] | None:
        nonlocal tries
        if not rest:
            return placed
        for offset in _gaps(rest[0], placed, bound):
            tries -= 1
            found = search(rest[1:], (*placed, replace(rest[0], offset=offset))) if tries > 0 else None
            if found:
                return found
        return None

    return list(search(buffers, ()) or _first_fit(buffers))


def _gaps(b: Buffer, placed: Sequence[Buffer], limit: int) -> list[int]:
    """Offsets below `limit` where b fits against a neighbour or an end: the lowest first, then the highest."""
    others = [p for p in placed if p.meets(b) and p.size]
    edges = {0, limit - b.size, *(p.end for p in others), *(p.offset - b.size for p in others)}
    free = sorted(
        e for e in edges if 0 <= e <= limit - b.size and all(e + b.size <= p.offset or p.end <= e for p in others)
    )
    return free[:1] + free[:0:-1]


def _first_fit(buffers: Sequence[Buffer]) -> list[Buffer]:
    """Largest first, each at the lowest offset that is free during its life."""
    placed: dict[int, Buffer] = {}
    for i in sorted(range(len(buffers)), key=lambda i: -buffers[i].size):
        limit = sum(b.size for b in buffers)
        placed[i] = replace(buffers[i], offset=_gaps(buffers[i], list(placed.values()), limit)[0])
    return [placed[i] for i in range(len(buffers))]
