"""Where a model.h can run: this machine and emulated cores, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.errors import UserError


@dataclass(frozen=True)
class Tool:
    """A program that is looked for on PATH, and the Debian package that it comes in."""

    name: str
    package: str

    @property
    def place(self) -> str:
        """Where it is expected."""
        return f"{self.name} on PATH (Debian: {self.package})"


@dataclass(frozen=True)
class Isa:
    """An instruction set: its name in file names, its cores' name, its cross compiler, its QEMU."""

    name: str
    cores: str
    gcc: Tool
    qemu: Tool


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

    isa: None for this machine. gcc_flags, zig_flags: what selects the core; no zig_flags where zig does not compile
    for it. unicorn_cpu: name of Unicorn's constant; "" where it has no such core. qemu_flags: the machine; none where
    QEMU has none with both the core and the memory. memory: that of the QEMU machine, so that one ELF file runs on both
    emulators. needs_runtime: 64-bit shifts and products are calls into the compiler's library.
    """

    name: str
    isa: Isa | None = None
    gcc_flags: tuple[str, ...] = ()
    zig_flags: tuple[str, ...] = ()
    unicorn_cpu: str = ""
    qemu_flags: tuple[str, ...] = ()
    memory: Memory = Memory()
    needs_runtime: bool = False

    @property
    def is_host(self) -> bool:
        """Whether its programs are this machine's own."""
        return self.isa is None

    @property
    def compilers(self) -> tuple[str, ...]:
        """The kinds of compiler that compile for it."""
        return ("gcc", "clang", "zig") if self.isa is None else ("gcc",) + ("zig",) * bool(self.zig_flags)

    @property
    def emulators(self) -> tuple[str, ...]:
        """Who emulates it, whom to prefer first: unicorn, which needs pip alone, and qemu."""
        return ("unicorn",) * bool(self.unicorn_cpu) + ("qemu",) * bool(self.qemu_flags)


KIB, MIB = 1 << 10, 1 << 20
ARM = Isa("arm", "Cortex-M", Tool("arm-none-eabi-gcc", "gcc-arm-none-eabi"), Tool("qemu-system-arm", "qemu-system-arm"))
RISCV = Isa(
    "riscv",
    "RISC-V",
    Tool("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"),
    Tool("qemu-system-riscv32", "qemu-system-misc"),
)
XTENSA = Isa(
    "xtensa",
    "Xtensa LX106",
    Tool("xtensa-lx106-elf-gcc", "gcc-xtensa-lx106"),
    Tool("qemu-system-xtensa", "qemu-system-misc"),
)
ISAS = (ARM, RISCV, XTENSA)
MPS2 = Memory(flash_origin=0x00000000, flash_bytes=4 * MIB, ram_origin=0x20000000, ram_bytes=4 * MIB)
AN505 = Memory(flash_origin=0x10000000, flash_bytes=4 * MIB, ram_origin=0x38000000, ram_bytes=2 * MIB)
AN547 = Memory(flash_origin=0x10000000, flash_bytes=512 * KIB, ram_origin=0x31000000, ram_bytes=2 * MIB)
SIM = Memory(flash_origin=0x50000000, flash_bytes=MIB, ram_origin=0x60000000, ram_bytes=MIB)
VIRT = Memory(flash_origin=0x80000000, flash_bytes=4 * MIB, ram_origin=0x80800000, ram_bytes=4 * MIB)


def _cortex(name: str, machine: str, memory: Memory = MPS2, *, needs_runtime: bool = False) -> Target:
    """A Cortex-M for the soft-float ABI: no floating point is used."""
    return Target(
        name=name,
        isa=ARM,
        gcc_flags=("-mthumb", f"-mcpu=cortex-{name}", "-mfloat-abi=soft"),
        zig_flags=("-target", "thumb-freestanding-eabi", f"-mcpu=cortex_{name}", "-mfloat-abi=soft"),
        unicorn_cpu=f"UC_CPU_ARM_CORTEX_{name.upper()}",
        qemu_flags=("-M", machine) if machine else (),
        memory=memory,
        needs_runtime=needs_runtime,
    )


M55 = Target(
    name="m55",
    isa=ARM,
    gcc_flags=("-mthumb", "-mcpu=cortex-m55", "-mfloat-abi=hard"),  # Helium shares the registers of the hard-float ABI
    zig_flags=("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55", "-mfloat-abi=hard"),
    qemu_flags=("-M", "mps3-an547"),
    memory=AN547,
)
RV32IMC = Target(
    name="rv32imc",
    isa=RISCV,
    # without small data, so that every constant has a section of its own by its name
    gcc_flags=("-march=rv32imc", "-mabi=ilp32", "-msmall-data-limit=0"),
    zig_flags=("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c", "-msmall-data-limit=0"),
    unicorn_cpu="UC_CPU_RISCV32_BASE32",
    qemu_flags=("-M", "virt", "-bios", "none"),
    memory=VIRT,
)
LX106 = Target(
    name="lx106",
    isa=XTENSA,
    gcc_flags=("-mtext-section-literals",),
    qemu_flags=("-M", "sim", "-cpu", "lx106"),
    memory=SIM,
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
        M55,  # Armv8.1-M mainline, with Helium's vectors
        RV32IMC,
        LX106,  # ESP8266
    )
}


SHORT = {"rv32": "rv32imc"}  # other names of targets


def target_named(name: str) -> Target:
    """The row of TARGETS, by its name or a short one; raises UserError for a name that is not there."""
    name = SHORT.get(name, name)
    if name not in TARGETS:
        raise UserError("target", "unknown", "one of " + ", ".join(TARGETS), name or "nothing")
    return TARGETS[name]
