"""Where the rows of a verification lie in the session's memory: a place for each, chosen before any C is emitted.

Two rows have the same place only if one is read for the last time before the other is written; what a kernel works in
is a buffer of its own while a strip of its stage is computed.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.program import Program
from hyper_mcu.codegen.schedule import IMAGE, Schedule, aligned, lives, peak, schedule, scratches

MAX_BYTES = 8 * 0xFFFE  # hm_places counts in 16 bits, one value says that a row is not kept
TRIES = 12  # orders of placing from either first one, if none comes near the bound before
ENOUGH = 1.0025  # times the bound: near it


@dataclass(frozen=True)
class Buffer:
    """`size` bytes at `offset`; bit t of `life`: in use at strip t."""

    size: int
    life: int
    offset: int = 0

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True)
class Plan:
    """The memory of a session.

    rows: for the image and each stage's map the offset of each row, None where it is not kept. scratch: for each stage
    that of what its kernel works in. total: bytes, a multiple of 8; bound: most bytes in use at one strip, below which
    no plan can go.
    """

    schedule: Schedule
    rows: tuple[tuple[int | None, ...], ...]
    scratch: tuple[int, ...]
    total: int
    bound: int

    def row(self, stage: int, y: int) -> int | None:
        """The offset of row y of a stage's map, or of the image."""
        return self.rows[stage + 1][y]


def place(program: Program) -> Program:
    """The pass that plans the memory of a Program whose steps are stages."""
    return replace(program, memory=plan(program.spec))


@cache
def plan(spec: NetSpec) -> Plan:
    """Plans the memory of `spec`: within an eightieth of `bound` for the presets.

    Raises UserError for a net that needs more than any microcontroller has.
    """
    found = schedule(spec)
    kept = lives(spec, found.order)
    wanted = [Buffer(aligned(r.size), (1 << r.last + 1) - (1 << r.first)) for r in kept]
    calls = [sum(1 << t for t, strip in enumerate(found.order) if strip.stage == s.index) for s in spec.stages]
    wanted += [Buffer(aligned(size), life) for size, life in zip(scratches(spec, found), calls, strict=True)]
    bound = peak(spec, found)
    placed = _placed(wanted, bound)
    offsets = {(r.stage, r.y): b.offset for r, b in zip(kept, placed, strict=False)}
    heights = [(IMAGE, spec.height), *((s.index, s.out_shape[0]) for s in spec.stages)]
    rows = tuple(tuple(offsets.get((i, y)) for y in range(height)) for i, height in heights)
    scratch = tuple(b.offset for b in placed[len(kept) :])
    total = max(b.end for b in placed)
    if total > MAX_BYTES:
        raise UserError(f"netspec {spec.id}", "bytes of RAM", f"at most {MAX_BYTES}", total)
    return Plan(found, rows, scratch, total, bound)


def _placed(buffers: Sequence[Buffer], bound: int) -> list[Buffer]:
    """The buffers with offsets. Largest first, or longest in use first, each where it fits lowest; while that is not
    near `bound`, again with the highest one placed before all others."""
    starts = [(b.life & -b.life).bit_length() for b in buffers]
    span = [b.life.bit_length() - start for b, start in zip(buffers, starts, strict=True)]
    largest = sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, starts[i]))
    longest = sorted(range(len(buffers)), key=lambda i: (-span[i], -buffers[i].size))
    best = _fitted(buffers, largest)
    for order in (largest, longest):
        for _ in range(TRIES):
            if max(b.end for b in best) <= bound * ENOUGH:
                return best
            tried = _fitted(buffers, order)
            best = min(best, tried, key=lambda placed: max(b.end for b in placed))
            highest = max(order, key=lambda i: tried[i].end)
            order.remove(highest)
            order.insert(0, highest)
    return best


def _fitted(buffers: Sequence[Buffer], order: Sequence[int]) -> list[Buffer]:
    """Each buffer, in this order, at the lowest offset that is free during its life."""
    placed, taken = list(buffers), list[tuple[int, int, int]]()  # offset, end, life
    for i in order:
        size, life, at = buffers[i].size, buffers[i].life, 0
        for offset, end, used in taken:
            if used & life:
                if offset - at >= size:
                    break
                if end > at:
                    at = end
        placed[i] = replace(buffers[i], offset=at)
        insort(taken, (at, at + size, life))
    return placed
