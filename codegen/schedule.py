"""When each row of each map is computed: strip by strip, as the rows of the image come.

Of the maps only those rows are in memory that a later strip reads. After each strip the stage behind it goes as far as
it can, so that rows are used up as soon as they are there. A stage that has few pixels a row waits for several rows
where memory allows it: what its kernel prepares once a strip, such as weights in registers, is then used more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyper_mcu.codegen.kernels.kernel import kernel
from hyper_mcu.codegen.kernels.variants import scratch
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage

PIXELS = 42  # of a strip, from which on the share of what is prepared once a strip is small
ROOM = 13_568  # bytes of rows and scratch up to which stages may wait; with session and stack around it 14 KiB
ALIGN = 8  # bytes, of every row: kernels load words, and the session holds a 64-bit member
IMAGE = -1  # the map that stage 0 reads


@dataclass(frozen=True)
class Strip:
    """Rows first … first + n − 1 of a stage's map, computed in one call; of IMAGE: a row that has come and is kept."""

    stage: int
    first: int
    n: int


@dataclass(frozen=True)
class Life:
    """A row of a map (stage, y) of `size` bytes, needed from strip `first` to strip `last`, both included."""

    stage: int
    y: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Schedule:
    """waits: rows that each stage waits for; strips: most rows that it computes in one call; order: all calls."""

    waits: tuple[int, ...]
    strips: tuple[int, ...]
    order: tuple[Strip, ...]


def schedule(spec: NetSpec) -> Schedule:
    """The order of all strips of a verification. Stages wait, the first ones first, where that saves half of their
    strips and rows and scratch stay within ROOM, or within what the net needs anyway."""
    wanted = [min(-(-PIXELS // s.out_shape[1]), s.out_shape[0]) for s in spec.stages]
    best = _scheduled(spec, [1] * len(wanted), wanted)
    room = max(ROOM, peak(spec, best))
    for i, most in enumerate(wanted):
        for wait in range(most, 1, -1):
            waits = (*best.waits[:i], wait, *best.waits[i + 1 :])
            tried = _scheduled(spec, waits, wanted)
            fewer = len(best.order) - len(tried.order)
            if fewer * 2 >= spec.stages[i].out_shape[0] // best.strips[i] and peak(spec, tried) <= room:
                best = tried
                break
    return best


def reads(spec: NetSpec, strip: Strip) -> list[tuple[int, int]]:
    """The rows (map, y) under a strip, those outside the map left out."""
    if strip.stage == IMAGE:
        return []
    s = spec.stages[strip.stage]
    layer = s.layer
    if isinstance(layer, Add):
        return [(of, y) for of in (s.index - 1, layer.of) for y in range(strip.first, strip.first + strip.n)]
    top = strip.first * layer.stride - s.pad_before[0]
    end = top + (strip.n - 1) * layer.stride + layer.k
    return [(s.index - 1, y) for y in range(max(top, 0), min(end, s.in_shape[0]))]


def lives(spec: NetSpec, order: Sequence[Strip]) -> list[Life]:
    """The rows that have to be kept, and how long. A row of the image is the caller's while it comes, and kept only
    where a later strip goes back to it; a row of the last map goes into the head's sums at once."""
    found: dict[tuple[int, int], Life] = {}
    for t, strip in enumerate(order):
        for key in reads(spec, strip):
            if key in found:
                found[key] = replace(found[key], last=t)
        for y in range(strip.first, strip.first + strip.n):
            last = t if strip.stage != IMAGE else -1
            found[strip.stage, y] = Life(strip.stage, y, row_bytes(spec, strip.stage), t, last)
    return [life for life in found.values() if life.last >= life.first]


def row_bytes(spec: NetSpec, stage: int) -> int:
    """Bytes of a row of a stage's map, or of the image."""
    if stage == IMAGE:
        return spec.width * spec.channels
    _, width, channels = spec.stages[stage].out_shape
    return width * channels


def scratches(spec: NetSpec, s: Schedule) -> list[int]:
    """Bytes that each stage's kernel works in."""
    return [scratch(kernel(stage, strip)) for stage, strip in zip(spec.stages, s.strips, strict=True)]


def peak(spec: NetSpec, s: Schedule) -> int:
    """Most bytes of rows and scratch in use at one strip: no memory plan can do with less."""
    works = [aligned(x) for x in scratches(spec, s)]
    change = [0] * (len(s.order) + 1)
    for life in lives(spec, s.order):
        change[life.first] += aligned(life.size)
        change[life.last + 1] -= aligned(life.size)
    most = used = 0
    for strip, step in zip(s.order, change, strict=False):
        used += step
        most = max(most, used + (works[strip.stage] if strip.stage != IMAGE else 0))
    return most


def aligned(size: int) -> int:
    """The next multiple of ALIGN."""
    return -(-size // ALIGN) * ALIGN


def _scheduled(spec: NetSpec, waits: Sequence[int], most: Sequence[int]) -> Schedule:
    """The order that firmware/core/hm_rows.h follows, with strips of up to `most` rows."""
    made, order = [0] * len(spec.stages), list[Strip]()
    for y in range(spec.height):
        i = 0
        while i >= 0:
            stage = spec.stages[i]
            ready = _ready(stage, made[i - 1] if i else y + 1)
            more = ready - made[i]
            if more >= waits[i] or (more > 0 and ready == stage.out_shape[0]):
                n = min(more, most[i])
                order.append(Strip(i, made[i], n))
                made[i] += n
                i = min(i + 1, len(made) - 1)
            else:
                i -= 1
        order.append(Strip(IMAGE, y, 1))
    longest = [max(s.n for s in order if s.stage == i) for i in range(len(made))]
    return Schedule(tuple(waits), tuple(longest), tuple(order))


def _ready(s: Stage, have: int) -> int:
    """How many rows of a stage `have` rows of its input are enough for."""
    if isinstance(s.layer, Conv) and have < s.in_shape[0]:
        below = have + s.pad_before[0] - s.layer.k
        return min(below // s.layer.stride + 1, s.out_shape[0]) if below >= 0 else 0
    return min(have, s.out_shape[0])
