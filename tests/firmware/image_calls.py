"""hm_image, compiled and asked: a program of the harness on this machine or on an emulated core."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.emit_c import emit, emit_engine
from hyper_mcu.codegen.emulate import run_elf
from hyper_mcu.codegen.instructions import Call
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.run import CORE_SOURCES, HARNESS, HOST_SOURCES
from hyper_mcu.codegen.targets import TARGETS, Target
from hyper_mcu.codegen.toolchain import Program, compile_program, find_toolchain
from hyper_mcu.device.image import FORMATS, Search
from hyper_mcu.faces.align import Warp

DEVICE = HARNESS.parent / "device"
ROWS, LANDMARKS, GUIDE, VERIFY, SEARCH, NULLS, COST = range(7)
OK, NULL_POINTER, WRONG_ROW_COUNT, CORRUPT_PERSON, NO_FRAME, NO_FACE = 0, 1, 3, 5, 81, 82
NO_PIXELS = -1
CROP_BYTES, ROW_BYTES = 112 * 112 * 3, 336
MATCH, NO_MATCH = 0x5AC369A5, 0xA53C965A
IDENTITY = Warp(0, (65536, 0, 0, 0, 65536, 0))
KINDS = tuple(FORMATS)


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
