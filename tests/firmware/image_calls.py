"""hm_image, compiled and asked: a program of the harness on this machine or on an emulated core."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.emit_c import emit, emit_engine
from hyper_mcu.codegen.emulate import run_elf
from hyper_mcu.codegen.instructions import Call
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.run import CORE_SOURCES, HARNESS, HOST_SOURCES
from hyper_mcu.codegen.targets import TARGETS, Target
from hyper_mcu.codegen.toolchain import Program, compile_program, find_toolchain
from hyper_mcu.device import image
from hyper_mcu.device.codes import Code
from hyper_mcu.device.image import FORMATS, Search
from hyper_mcu.faces.align import Warp

DEVICE = HARNESS.parent / "device"
ROWS, LANDMARKS, GUIDE, VERIFY, SEARCH, NULLS, COST = range(7)
NO_PIXELS = -1
CROP_BYTES, ROW_BYTES = 112 * 112 * 3, 336
INT32 = (-(2**31), 2**31 - 1)
IDENTITY = Warp(0, (65536, 0, 0, 0, 65536, 0))
KINDS = tuple(FORMATS)
# A net for whole crops that compiles and runs in no time: what is tested is what it is shown.
SMALL = NetSpec("small@1", (Conv(5, 2, "same", 3, 4), Conv(3, 2, "same", 4, 6)), Head("dot", pool=True), 112, 112)


@dataclass(frozen=True)
class Ask:
    """One call. frame: the bytes as they lie in memory, None for a NULL; width, height: pixels."""

    op: int
    frame: bytes | None
    kind: int
    width: int
    height: int
    stride: int
    warp: Warp = IDENTITY
    points: Sequence[tuple[int, int]] = ((0, 0),) * 5
    guide: tuple[int, int, int] = (0, 0, 0)
    search: Search = field(default_factory=Search)
    person: int = 1

    @property
    def record(self) -> bytes:
        """The call as the program reads it."""
        n = NO_PIXELS if self.frame is None else len(self.frame)
        s = self.search
        words = (self.op, self.kind, self.width, self.height, self.stride, n, self.warp.halvings, *self.warp.q16)
        words += (*(v for p in self.points for v in p), *self.guide)
        words += (s.shifts, s.scales, s.tilts, s.shift, s.scale, s.tilt, self.person)
        return struct.pack(f"<{len(words)}i", *words) + (self.frame or b"")


@dataclass(frozen=True)
class Judged:
    """What verify and search said: code, cost, verdict, the best warp; the row and the session they leave behind."""

    code: int
    cost: int
    logit: int
    threshold: int
    decision: int
    match: bool
    best: Warp
    left: bytes


def ask(op: int, frame: NDArray[np.uint8], kind: str, **more: object) -> Ask:
    """A call about a frame uint8 (H, W·bytes), whose rows lie as they do in the array."""
    height, row_bytes = frame.shape
    gap = frame.strides[0] - row_bytes if height > 1 else 0
    if gap:
        data = np.lib.stride_tricks.as_strided(frame, (frame.strides[0] * (height - 1) + row_bytes,), (1,)).tobytes()
    else:
        data = frame.tobytes()
    return Ask(op, data, KINDS.index(kind), row_bytes // FORMATS[kind], height, row_bytes + gap, **more)  # type: ignore[arg-type]


def build(folder: Path, person: Person, target: Target, *, optimise: str = "-O2", sanitise: bool = False) -> Program:
    """The program around `person`, in `folder`."""
    (folder / "model.h").write_text(emit(person), encoding="ascii")
    (folder / "hm_engine.h").write_text(emit_engine(person), encoding="ascii")
    core = (*CORE_SOURCES, f"core_{target.isa.name}.c") if target.isa else HOST_SOURCES
    sources = [HARNESS / name for name in core if name != "main.c"]
    return compile_program(
        [*sources, DEVICE / "hm_image.c", Path(__file__).with_name("image_program.c")],
        target,
        out=folder / "image",
        include_dirs=[folder, DEVICE, HARNESS],
        optimise=optimise,
        sanitise=sanitise,
        toolchain=find_toolchain(target),
    )


class Calls:
    """A built program. Each method asks it about many things at once and gives an answer for each."""

    def __init__(self, folder: Path, person: Person, target: str = "host", **options: object) -> None:
        self.target = TARGETS[target]
        self.session_bytes = 0
        self.program = build(folder, person, self.target, **options)  # type: ignore[arg-type]
        self.calls: tuple[Call, ...] | None = None

    def raw(self, asks: Sequence[Ask]) -> bytes:
        """All that the program says; a fault or a sanitizer's finding fails the test."""
        done = run_elf(self.program.elf, self.target, b"".join(a.record for a in asks))
        assert done.code == 0, done.detail
        self.calls = done.calls
        return done.stdout

    def rows(self, asks: Sequence[Ask]) -> list[tuple[int, NDArray[np.uint8]]]:
        """Code and crop uint8 (112, 112, 3) of each."""
        data = self.raw(asks)
        size = 4 + CROP_BYTES
        assert len(data) == size * len(asks)
        found = []
        for i in range(len(asks)):
            part = data[i * size : (i + 1) * size]
            crop = np.frombuffer(part[4:], np.uint8).reshape(112, 112, 3)
            found.append((struct.unpack("<i", part[:4])[0], crop))
        return found

    def warps(self, asks: Sequence[Ask]) -> list[tuple[int, Warp]]:
        """Code and warp of each."""
        data = self.raw(asks)
        assert len(data) == 32 * len(asks)
        return [(code, _warp(words)) for code, *words in struct.iter_unpack("<8i", data)]

    def judged(self, asks: Sequence[Ask]) -> list[Judged]:
        """What verify or search says of each."""
        data = self.raw(asks)
        size, rest = divmod(len(data), len(asks))
        assert rest == 0
        return list(self._judged(data, size))

    def _judged(self, data: bytes, size: int) -> Iterator[Judged]:
        for at in range(0, len(data), size):
            code, cost, logit, threshold, decision, match, *warp = struct.unpack("<4iI8i", data[at : at + 52])
            left = data[at + 52 : at + size]
            yield Judged(code, cost, logit, threshold, decision, bool(match), _warp(warp), left)


def _warp(words: Sequence[int]) -> Warp:
    halvings, a, b, c, d, e, f = words
    return Warp(halvings, (a, b, c, d, e, f))


def frame_of_noise(rng: np.random.Generator, kind: str, height: int, width: int, gap: int = 0) -> NDArray[np.uint8]:
    """A random frame whose rows lie `gap` bytes apart."""
    row = width * FORMATS[kind]
    return rng.integers(0, 256, (height, row + gap), dtype=np.uint8)[:, :row]


def around(rng: np.random.Generator, height: int, width: int, halvings: int, wide: float, off: float = 0.0) -> Warp:
    """A similarity that shows a crop `wide` halved pixels wide, its middle `off` widths from that of the frame."""
    size, turn = wide / 112, rng.uniform(-np.pi, np.pi)
    a, d = size * np.cos(turn), size * np.sin(turn)
    x, y = ((side >> halvings) / 2 + off * wide * rng.uniform(-1, 1) for side in (width, height))
    q = np.array([a, -d, x - 56 * (a - d), d, a, y - 56 * (d + a)]) * 65536
    return Warp(halvings, tuple(int(v) for v in np.rint(q).clip(*INT32)))  # type: ignore[arg-type]


def differing(calls: Calls, asks: Sequence[Ask], frames: Sequence[NDArray[np.uint8]]) -> list[Ask]:
    """The calls whose crop is not the twin's."""
    said = zip(calls.rows(asks), asks, frames, strict=True)
    return [
        replace(a, frame=None)  # its pixels are not for reading
        for (code, crop), a, shown in said
        if code != Code.OK or not np.array_equal(crop, image.crop(shown, KINDS[a.kind], a.warp))
    ]


def impossible() -> Iterator[Ask]:
    """Frames that cannot be, each as a change of one that can."""
    good = Ask(ROWS, bytes(8 * 6 * 4), KINDS.index("yuyv"), 8, 6, 16)
    grey = replace(good, kind=KINDS.index("grey"), stride=8)
    yield from (replace(good, frame=None), replace(good, width=0), replace(good, height=0))
    yield from (replace(good, stride=15), replace(good, width=7), replace(good, kind=7), replace(good, kind=-1))
    yield from (replace(grey, width=4097, stride=4097), replace(grey, height=4097), replace(grey, height=65535))
    yield from (replace(grey, stride=-1), replace(grey, stride=0), replace(grey, height=4096, stride=2**19))
    yield replace(good, kind=KINDS.index("rgb888"), stride=23)


def landmark_sets(n: int, seed: int) -> Iterator[list[tuple[int, int]]]:
    """Landmarks in 1/16 pixel: faces of all sizes and turns, faces with noise, any points, and what is no face."""
    rng = np.random.default_rng(seed)
    template = np.array(image.TEMPLATE) / 10_000 @ [1, 1j]
    for i in range(n):
        size, turn = float(np.exp(rng.uniform(np.log(0.02), np.log(60)))), rng.uniform(-np.pi, np.pi)
        marks = 16 * (template * size * np.exp(1j * turn) + complex(*rng.uniform(-2000, 5000, 2)))
        points = np.stack([marks.real, marks.imag], 1) + rng.normal(0, (0, 16 * size, 160 * size)[i % 3], (5, 2))
        if i % 5 == 4:
            points = rng.integers(-140_000, 140_000, (5, 2)) >> int(rng.integers(0, 17))
        if i % 50 == 49:
            points = rng.choice([0, 1, -(2**17), 2**17, -(2**17) - 1, 2**17 + 1, *INT32], (5, 2))
        yield [(int(x), int(y)) for x, y in np.rint(points)]


def expected_warp(make: Callable[..., Warp], *arguments: object) -> tuple[Code, Warp]:
    """Code and warp that the twin's function `make` gives."""
    try:
        return Code.OK, make(*arguments)
    except ValueError:
        return Code.NO_FACE, IDENTITY
