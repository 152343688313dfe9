"""Counting what an emulator executes: exactly, at a few per cent of its time.

A Python callback for each block would cost thirty times the emulation, so the callbacks are C (firmware/harness/count.h
says what they count), compiled once for this machine and kept in the user's cache: hooks of Unicorn, a plugin of QEMU.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from hyper_mcu.codegen.elf import Elf
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.targets import TARGETS, Isa, Memory
from hyper_mcu.codegen.toolchain import cache_dir, compile_library, find_toolchain, private_dir

HARNESS = Path(__file__).parent.parent / "firmware" / "harness"
MARK = "port_mark"  # in firmware/harness/port_semihost.c: what lies between two calls of it is counted
ROOM = 1 << 16  # events, as in count_qemu.c
ISAS = ("arm", "riscv", "xtensa")  # instruction_at in count.h
PLUGIN_VERSIONS = (1, 2, 3, 4, 5)  # of QEMU's plugin interface: the first that it takes is taken


@dataclass(frozen=True)
class Point:
    """A call of MARK, or a store to a watched address: what was executed before it, a store included."""

    address: int
    instructions: int
    cycles: int


@dataclass(frozen=True)
class Call:
    """One call that the harness measured. cycles: modelled for a Cortex-M4, meaningless elsewhere. stores: to watched
    addresses, with what was executed from the call on."""

    instructions: int
    cycles: int
    stores: tuple[Point, ...]


@dataclass(frozen=True)
class Watch:
    """A program to count. code: its bytes at `origin`; mark: address of MARK; stored: addresses whose stores count."""

    isa: str
    origin: int
    code: bytes
    mark: int
    stored: range

    @classmethod
    def of(cls, elf: Elf, isa: Isa, memory: Memory, stored: range = range(0)) -> Watch:
        """The program `elf`."""
        mark = next((s.value for s in elf.symbols if s.name == MARK), 0)
        return cls(isa.name, memory.flash_origin, image(elf, memory), mark & ~1 if isa.name == "arm" else mark, stored)


def image(elf: Elf, memory: Memory) -> bytes:
    """The program as it lies in flash. All that is loaded lies there: the linker script puts .data behind the code."""
    flash = bytearray(max(s.address + len(s.data) for s in elf.segments) - memory.flash_origin)
    for s in elf.segments:
        at = s.address - memory.flash_origin
        flash[at : at + len(s.data)] = s.data
    return bytes(flash)


def calls(events: Sequence[Point], mark: int) -> tuple[Call, ...]:
    """The calls in a list of events. The harness passes MARK twice before each, which is what passing it costs, and
    once more before and behind it."""
    found, marks = list[Call](), list[int]()
    for i, e in enumerate(events):
        if e.address != mark:
            continue
        marks.append(i)
        if len(marks) == 4:
            zero, before, start, _ = (events[k] for k in marks)
            spent = start.instructions + before.instructions - zero.instructions
            cycles = start.cycles + before.cycles - zero.cycles
            inside = (*events[marks[2] + 1 : i], e)
            *stores, end = (Point(x.address, x.instructions - spent, x.cycles - cycles) for x in inside)
            found.append(Call(end.instructions, end.cycles, tuple(stores)))
            marks = []
    return tuple(found)


class _Counter(ctypes.Structure):
    """unicorn_counter of count_unicorn.c, which begins with counter of count.h."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("isa", "origin", "bytes", "mark", "rows", "rows_end", "room")),
        *((name, ctypes.c_void_p) for name in ("code", "blocks", "events")),
        *((name, ctypes.c_uint64) for name in ("n", "lost", "block", "block_end")),
        ("costs", ctypes.c_uint64 * 4),
        ("read", ctypes.c_void_p),
        ("pc", ctypes.c_uint64),
    )


BLOCK_BYTES, EVENT = 16, struct.Struct("<3Q")  # block and event of count.h


@cache
def counter_library(name: str = "count_unicorn.c", *defines: str) -> Path | None:
    """The compiled callbacks, or None where this machine has no compiler for them."""
    try:
        tools = find_toolchain(TARGETS["host"])
    except UserError:
        return None
    source = HARNESS / name
    text = source.read_bytes() + (HARNESS / "count.h").read_bytes()
    key = hashlib.sha256(repr((tools, defines)).encode() + text).hexdigest()[:16]
    library = private_dir(cache_dir()) / f"{source.stem}-{key}.so"
    if not library.is_file():
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".build-") as folder:  # another thread may be here
            part = Path(folder) / library.name
            compile_library(source, part, tools, defines)
            part.replace(library)
    return library


def count_unicorn(uc: Any, library: Path, watch: Watch, pc: int) -> Callable[[], list[Point] | None]:
    """Begins to count in the Unicorn instance `uc`, whose number of the program counter is `pc`.

    Returns a function for the events so far; None if some instructions lay outside the code, if there was no room for
    events, or if Unicorn's binding is laid out in another way than in 2.1.
    """
    unicorn: Any = import_module("unicorn")  # untyped
    try:
        api, handle = unicorn.unicorn_py3.unicorn.uclib, uc._uch
    except AttributeError:
        return lambda: None
    code = ctypes.create_string_buffer(watch.code, len(watch.code) + 4)
    blocks = ctypes.create_string_buffer(len(watch.code) * BLOCK_BYTES)
    events = ctypes.create_string_buffer(ROOM * EVENT.size)
    counter = _Counter(
        isa=ISAS.index(watch.isa),
        origin=watch.origin,
        bytes=len(watch.code),
        mark=watch.mark,
        rows=watch.stored.start,
        rows_end=watch.stored.stop,
        room=ROOM,
        code=ctypes.addressof(code),
        blocks=ctypes.addressof(blocks),
        events=ctypes.addressof(events),
        read=ctypes.cast(api.uc_reg_read, ctypes.c_void_p),
        pc=pc,
    )
    callbacks = ctypes.CDLL(str(library))
    everywhere = (1, 0)  # begin > end
    hooks = [(unicorn.unicorn_const.UC_HOOK_BLOCK, callbacks.on_block, *everywhere)]
    if watch.stored:
        written = (watch.stored.start, watch.stored.stop - 1)
        hooks.append((unicorn.unicorn_const.UC_HOOK_MEM_WRITE, callbacks.on_write, *written))
    failed = 0
    for kind, callback, begin, end in hooks:
        hook = ctypes.byref(ctypes.c_size_t())
        where = (ctypes.c_uint64(begin), ctypes.c_uint64(end))
        called = ctypes.cast(callback, ctypes.c_void_p)
        failed |= api.uc_hook_add(handle, hook, ctypes.c_int(kind), called, ctypes.byref(counter), *where)

    def so_far(keep: object = (code, blocks)) -> list[Point] | None:  # Unicorn holds bare pointers: these outlive it
        return None if failed or counter.lost else _events(events.raw[: counter.n * EVENT.size])

    return so_far


@cache
def plugin(qemu: str) -> Path | None:
    """The compiled plugin that the executable `qemu` takes; None where it takes none, or nobody compiles it here."""
    for version in PLUGIN_VERSIONS:
        library = counter_library("count_qemu.c", f"PLUGIN_VERSION={version}")
        if library is None:
            return None
        nothing = [qemu, "-M", "none", "-display", "none", "-monitor", "stdio", *_load(library)]
        if subprocess.run(nothing, input=b"quit\n", capture_output=True, check=False).returncode == 0:
            return library
    return None


def count_qemu(library: Path, watch: Watch, folder: Path) -> tuple[list[str], Callable[[], list[Point] | None]]:
    """Options for a QEMU that runs in `folder`, and a function for its events once it has ended, as count_unicorn's."""
    (folder / "code.bin").write_bytes(watch.code)
    numbers = {
        "isa": ISAS.index(watch.isa),
        "origin": watch.origin,
        "bytes": len(watch.code),
        "mark": watch.mark,
        "rows": watch.stored.start,
        "rows_end": watch.stored.stop,
    }
    options = [f"{name}={value}" for name, value in numbers.items()]

    def at_end() -> list[Point] | None:
        report = folder / "events.bin"
        data = report.read_bytes() if report.is_file() else b""
        return _events(data[8:]) if len(data) >= 8 and not any(data[:8]) else None

    return _load(library, *options, "code=code.bin", "events=events.bin"), at_end


def _load(library: Path, *options: str) -> list[str]:
    return ["-plugin", ",".join([str(library).replace(",", ",,"), *options])]


def _events(data: bytes) -> list[Point]:
    return [Point(*words) for words in EVENT.iter_unpack(data)]
