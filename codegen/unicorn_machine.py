"""A core in Unicorn with the memory of a target and the semihosting calls that the harness makes.

Any exception of the core stops it. The instruction of such a call is served and passed over; all others end the run as
a fault. Nothing is emulated that could hang.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from threading import Event, Thread
from typing import Any

from hyper_mcu.codegen.emulate import FAULT, PROBES, RECORDS, too_slow
from hyper_mcu.codegen.instructions import Point, Watch, count_unicorn, counter_library
from hyper_mcu.codegen.targets import ARM, Target

SYS_OPEN, SYS_WRITE, SYS_READ, SYS_EXIT_EXTENDED = 0x01, 0x05, 0x06, 0x20
FAILED = 0xFFFFFFFF
HANDLES = {(PROBES, 1): 1, (RECORDS, 5): 2}  # by name and mode: rb, wb
LONGEST_NAME = max(len(name) for name, _ in HANDLES)  # a read of memory allocates what is asked for
MOST_OUTPUT = 1 << 28  # bytes; a program that writes more than this is lost


@dataclass(frozen=True)
class _Core:
    """An instruction set as Unicorn has it: the names of its constants, and the instruction that calls the host.

    registers: operation and result, argument, program counter, stack pointer. call: the instruction; around: what must
    lie before and behind it. thumb: set in every address to go on at.
    """

    arch: str
    mode: tuple[str, ...]
    registers: tuple[str, str, str, str]
    call: bytes
    around: tuple[bytes, bytes] = (b"", b"")
    thumb: int = 0


CORES = {
    "arm": _Core("ARM", ("THUMB", "MCLASS"), ("R0", "R1", "PC", "SP"), bytes.fromhex("abbe"), thumb=1),  # bkpt 0xAB
    "riscv": _Core(
        "RISCV",
        ("RISCV32",),
        ("A0", "A1", "PC", "SP"),
        bytes.fromhex("73001000"),  # ebreak between slli zero, zero, 0x1f and srai zero, zero, 7
        (bytes.fromhex("1310f001"), bytes.fromhex("13507040")),
    ),
}


@dataclass
class _Host:
    """The semihosting host: what it gives, what it got, and how the program ended."""

    given: bytes
    output: bytearray = field(default_factory=bytearray)
    code: int | None = None

    def serve(self, memory: Any, operation: int, at: int) -> int:
        """One call; `at` is the address of its argument block. Returns what goes into the first register."""
        first, second, third = struct.unpack("<3I", memory.mem_read(at, 12))
        if operation == SYS_OPEN and third <= LONGEST_NAME:
            name = bytes(memory.mem_read(first, third)).decode(errors="replace")
            return HANDLES.get((name, second), FAILED)
        if operation == SYS_READ and first == 1:
            part, self.given = self.given[:third], self.given[third:]
            memory.mem_write(second, part)
            return int(third - len(part))
        if operation == SYS_WRITE and first == 2 and len(self.output) + third <= MOST_OUTPUT:
            self.output += memory.mem_read(second, third)
            return 0
        if operation == SYS_EXIT_EXTENDED:
            self.code = second
            return 0
        return FAILED


def run_unicorn(
    target: Target, watch: Watch, probe: bytes, limit_s: float
) -> tuple[bytes, int, str, list[Point] | None]:
    """Output, exit code, what is known about a fault, and what was counted (None where nothing was).

    Raises UserError where the program has not ended after `limit_s` seconds.
    """
    unicorn: Any = import_module("unicorn")  # untyped
    const: Any = import_module(f"unicorn.{watch.isa}_const")
    core, memory, code = CORES[watch.isa], target.memory, watch.code
    operation, argument, pc, sp = (getattr(const, f"UC_{core.arch}_REG_{name}") for name in core.registers)
    uc = unicorn.Uc(getattr(unicorn, f"UC_ARCH_{core.arch}"), sum(getattr(unicorn, f"UC_MODE_{m}") for m in core.mode))
    uc.ctl_set_cpu_model(getattr(const, target.unicorn_cpu))
    uc.mem_map(memory.flash_origin, memory.flash_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    uc.mem_map(memory.ram_origin, memory.ram_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
    uc.mem_write(memory.flash_origin, code)
    library, host = counter_library(), _Host(probe)
    counted = count_unicorn(uc, library, watch, pc) if library else lambda: None
    at = memory.flash_origin
    if target.isa is ARM:
        stack, at = struct.unpack("<2I", code[:8])
        uc.reg_write(sp, stack)
    with _stopped_after(limit_s, uc) as late:
        while host.code is None and not late.is_set():
            try:
                uc.emu_start(at | core.thumb, FAILED)
            except unicorn.UcError as e:
                at = uc.reg_read(pc)
                if not _is_call(core, code, at - memory.flash_origin):
                    return bytes(host.output), FAULT, f"{e} at {at:#x}", counted()
                try:
                    uc.reg_write(operation, host.serve(uc, uc.reg_read(operation), uc.reg_read(argument)))
                except unicorn.UcError as unreadable:
                    return bytes(host.output), FAULT, f"{unreadable} at {at:#x}", counted()
                at += len(core.call)
    if host.code is None:
        raise too_slow(target.name, limit_s)
    return bytes(host.output), host.code, "", counted()


def _is_call(core: _Core, code: bytes, at: int) -> bool:
    before, behind = core.around
    return at >= len(before) and code[at - len(before) :].startswith(before + core.call + behind)


@contextmanager
def _stopped_after(limit_s: float, uc: Any) -> Iterator[Event]:
    """Stops `uc` after that time, and again and again, as it may just not be running; the event says so.

    Unicorn's own time limit takes 0.8 ms of every start, and there is a start for every call.
    """
    late, done = Event(), Event()

    def watch() -> None:
        pause = limit_s
        while not done.wait(pause):
            late.set()
            uc.emu_stop()
            pause = 0.05

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        done.set()
        watcher.join()
