"""Where a model.h can run: this machine and emulated Cortex-M cores, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.errors import UserError


@dataclass(frozen=True)
class Memory:
    """A memory map: addresses and bytes. Zero bytes of flash: the program is loaded by an operating system."""

    flash_origin: int = 0
    flash_bytes: int = 0
    ram_origin: int = 0
    ram_bytes: int = 0


@dataclass(frozen=True)
class Target:
    """A place to run C.

    gcc_flags, zig_flags: what selects the core, for the soft-float ABI (no floating point is used). unicorn_cpu: name
    of the constant in unicorn.arm_const. qemu_machine: "" where no QEMU machine has both the core and the memory.
    memory: that of the QEMU machine, so that one ELF file runs on both emulators. needs_runtime: 64-bit shifts and
    products are calls into the compiler's library.
    """

    name: str
    gcc_flags: tuple[str, ...] = ()
    zig_flags: tuple[str, ...] = ()
    unicorn_cpu: str = ""
    qemu_machine: str = ""
    memory: Memory = Memory()
    needs_runtime: bool = False

    @property
    def is_host(self) -> bool:
        """Whether its programs are this machine's own."""
        return self.memory == Memory()


MIB = 1 << 20
MPS2 = Memory(flash_origin=0x00000000, flash_bytes=4 * MIB, ram_origin=0x20000000, ram_bytes=4 * MIB)
AN505 = Memory(flash_origin=0x10000000, flash_bytes=4 * MIB, ram_origin=0x38000000, ram_bytes=2 * MIB)


def _cortex(name: str, machine: str, memory: Memory = MPS2, needs_runtime: bool = False) -> Target:
    return Target(
        name=name,
        gcc_flags=("-mthumb", f"-mcpu=cortex-{name}", "-mfloat-abi=soft"),
        zig_flags=("-target", "thumb-freestanding-eabi", f"-mcpu=cortex_{name}", "-mfloat-abi=soft"),
        unicorn_cpu=f"UC_CPU_ARM_CORTEX_{name.upper()}",
        qemu_machine=machine,
        memory=memory,
        needs_runtime=needs_runtime,
    )


TARGETS = {
    t.name: t
    for t in (
        Target("host"),
        _cortex("m0", "", needs_runtime=True),  # Armv6-M; QEMU's only one, microbit, has 16 KiB of RAM
        _cortex("m3", "mps2-an385"),  # Armv7-M
        _cortex("m4", "mps2-an386"),  # Armv7E-M, with the DSP instructions
        _cortex("m7", "mps2-an500"),  # Armv7E-M, two instructions at a time
        _cortex("m33", "mps2-an505", AN505),  # Armv8-M mainline, with the DSP instructions
    )
}


def target_named(name: str) -> Target:
    """The row of TARGETS; raises UserError for a name that is not there."""
    if name not in TARGETS:
        raise UserError("target", "unknown", "one of " + ", ".join(TARGETS), name or "nothing")
    return TARGETS[name]
