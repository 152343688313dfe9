"""A Cortex-M core in Unicorn with the memory of a target and the semihosting calls that the harness makes.

Any exception of the core other than such a call ends the run as a fault; nothing is emulated that could hang.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hyper_mcu.codegen.elf import Elf, read_elf
from hyper_mcu.codegen.emulate import FAULT, PROBES, RECORDS, too_slow
from hyper_mcu.codegen.instructions import count, counter_library
from hyper_mcu.codegen.targets import Memory, Target

BKPT_AB = b"\xab\xbe"
SYS_OPEN, SYS_WRITE, SYS_READ, SYS_EXIT_EXTENDED, SYS_ELAPSED = 0x01, 0x05, 0x06, 0x20, 0x30
FAILED = 0xFFFFFFFF
HANDLES = {(PROBES, 1): 1, (RECORDS, 5): 2}  # by name and mode: rb, wb
LONGEST_NAME = max(len(name) for name, _ in HANDLES)  # a read of memory allocates what is asked for
MOST_OUTPUT = 1 << 28  # bytes; a program that writes more than this is lost


@dataclass
class _Host:
    """The semihosting host: what it gives, what it got, and how the program ended."""

    given: bytes
    executed: Callable[[], int | None]
    output: bytearray = field(default_factory=bytearray)
    code: int | None = None

    def serve(self, memory: Any, operation: int, at: int) -> int:
        """One call; `at` is the address of its argument block. Returns what goes into r0."""
        if operation == SYS_ELAPSED:
            executed = self.executed()
            if executed is None:
                return FAILED
            memory.mem_write(at, struct.pack("<Q", executed))
            return 0
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
            memory.emu_stop()
            return 0
        return FAILED


def run_unicorn(elf: Path, target: Target, probe: bytes, limit_s: float) -> tuple[bytes, int, int | None, str]:
    """Output, exit code, instructions from reset to the end (None where uncounted) and what is known about a fault.

    Raises UserError where the program has not ended after `limit_s` seconds.
    """
    unicorn: Any = import_module("unicorn")  # untyped
    arm_const: Any = import_module("unicorn.arm_const")
    memory = target.memory
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(getattr(arm_const, target.unicorn_cpu))
    uc.mem_map(memory.flash_origin, memory.flash_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    uc.mem_map(memory.ram_origin, memory.ram_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
    code = _flash(read_elf(elf), memory)
    uc.mem_write(memory.flash_origin, code)
    library = counter_library()
    host = _Host(probe, count(uc, library, memory.flash_origin, code) if library else lambda: None)
    fault: list[str] = []

    def on_exception(uc: Any, number: int, _: object) -> None:
        pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
        try:
            if bytes(uc.mem_read(pc, 2)) != BKPT_AB:
                raise ValueError(f"exception {number}")
            r0, r1 = uc.reg_read(arm_const.UC_ARM_REG_R0), uc.reg_read(arm_const.UC_ARM_REG_R1)
            uc.reg_write(arm_const.UC_ARM_REG_R0, host.serve(uc, r0, r1))
        except (unicorn.UcError, ValueError) as e:
            fault.append(f"{e} at {pc:#x}")
            uc.emu_stop()
        else:
            uc.reg_write(arm_const.UC_ARM_REG_PC, (pc + 2) | 1)

    uc.hook_add(unicorn.UC_HOOK_INTR, on_exception)
    stack, reset = struct.unpack("<2I", code[:8])
    uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
    try:
        uc.emu_start(reset | 1, FAILED, timeout=int(limit_s * 1e6))
    except unicorn.UcError as e:
        fault.append(f"{e} at {uc.reg_read(arm_const.UC_ARM_REG_PC):#x}")
    if fault:
        return bytes(host.output), FAULT, host.executed(), fault[0]
    if host.code is None:
        raise too_slow(target.name, limit_s)
    return bytes(host.output), host.code, host.executed(), ""


def _flash(elf: Elf, memory: Memory) -> bytes:
    """The program as it lies in flash. All that is loaded lies there: the linker script puts .data behind the code."""
    image = bytearray(max(s.address + len(s.data) for s in elf.segments) - memory.flash_origin)
    for s in elf.segments:
        at = s.address - memory.flash_origin
        image[at : at + len(s.data)] = s.data
    return bytes(image)
