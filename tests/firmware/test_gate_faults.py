"""One fault makes no match: on an emulated Cortex-M4 every instruction of hm_gate_judge left out, every bit flipped."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flash_machine import DEVICE
from people import TINY, net, person

from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.run import HARNESS, MEMORY
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import compile_program, find_toolchain

uc = pytest.importorskip("unicorn", reason="needs hyper-mcu[emulate]: unicorn")
arm = pytest.importorskip("unicorn.arm_const", reason="needs hyper-mcu[emulate]: unicorn")

M4 = target_named("m4")
MATCH, NO_MATCH, ERROR = 0x5AC369A5, 0xA53C965A, 0x3C5AA5C3
RAM_BYTES = 0x8000
STOP = 0x00300000  # where nothing is; a call that returns there is over
LONGEST = 5000  # instructions
REGISTERS = [*(f"R{i}" for i in range(13)), "SP", "LR", "PC"]
# status, logit, threshold, decision, match; whether the attempt was counted
VERDICTS = {
    "no": (0, 899, 900, NO_MATCH, 0, True),
    "far from it": (0, -(2**31), 2**31 - 1, NO_MATCH, 0, True),
    "an error": (5, -(2**31), 2**31 - 1, NO_MATCH, 0, True),
    "too low, and called a match": (0, 899, 900, MATCH, 1, True),
    "high, and called none": (0, 901, 900, NO_MATCH, 0, True),
    "no attempt": (0, 901, 900, MATCH, 1, False),
}


@dataclass
class Core:
    """The program in Unicorn, stopped after an attempt was counted."""

    compiler: str
    flash: list[tuple[int, bytes]]
    symbols: dict[str, int]
    sizes: dict[str, int]
    core: Any = field(init=False)
    ram: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self.core.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        self.core.mem_map(M4.memory.flash_origin, 0x100000, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        self.core.mem_map(M4.memory.ram_origin, RAM_BYTES, uc.UC_PROT_READ | uc.UC_PROT_WRITE)
        for address, data in self.flash:
            self.core.mem_write(address, data)
        self.begin(self.symbols["hm_reset"])
        assert self.run(1_000_000) == STOP
        self.ram = bytes(self.core.mem_read(M4.memory.ram_origin, RAM_BYTES))

    def begin(self, function: int, *arguments: int) -> None:
        for i in range(13):
            self.set(f"R{i}", arguments[i] if i < len(arguments) else 0x1000 + i)
        self.set("SP", self.symbols["hm_stack_top"])
        self.set("LR", STOP | 1)
        self.set("PC", function | 1)

    def get(self, register: str) -> int:
        return int(self.core.reg_read(getattr(arm, f"UC_ARM_REG_{register}")))

    def set(self, register: str, value: int) -> None:
        self.core.reg_write(getattr(arm, f"UC_ARM_REG_{register}"), value)

    def run(self, count: int = LONGEST) -> int:
        """Goes on; where it then is, or −1 where the core faulted."""
        try:
            self.core.emu_start(self.get("PC") | 1, STOP, count=count)
        except uc.UcError:
            return -1
        return self.get("PC")

    def keep(self) -> tuple[Any, bytes]:
        return self.core.context_save(), bytes(self.core.mem_read(M4.memory.ram_origin, RAM_BYTES))

    def back(self, state: tuple[Any, bytes]) -> None:
        self.core.context_restore(state[0])
        self.core.mem_write(M4.memory.ram_origin, state[1])

    def judge(self, name: str, function: str = "hm_gate_judge") -> None:
        """A call of hm_gate_judge, or of another one like it, is about to begin."""
        status, logit, threshold, decision, match, counted = VERDICTS[name] if name != "yes" else YES
        self.core.mem_write(M4.memory.ram_origin, self.ram)
        at = self.symbols["verdict"]
        self.core.mem_write(at, struct.pack("<iiIB3x", logit, threshold, decision, match))
        if not counted:
            self.core.mem_write(self.symbols["gate"] + self.sizes["gate"] - 4, bytes(4))  # pending is its last word
        self.begin(self.symbols[function], self.symbols["gate"], status, at, 5)

    def answer(self) -> int:
        """What the call returns, 0 where it does not."""
        return self.get("R0") if self.run() == STOP else 0


YES = (0, 900, 900, MATCH, 1, True)


@cache
def built(folder: Path, compiler: str, optimise: str) -> Core:
    (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    sources = [
        Path(__file__).parent / "gate_faults.c",
        DEVICE / "hm_gate.c",
        DEVICE / "hm_flash.c",
        HARNESS / MEMORY,
    ]
    program = compile_program(
        sources,
        M4,
        out=folder / "gate.elf",
        include_dirs=[folder, DEVICE],
        optimise=optimise,
        toolchain=find_toolchain(M4, compiler),
    )
    elf = read_elf(program.elf)
    symbols = {s.name: s.value & ~1 for s in elf.symbols}
    return Core(compiler, [(s.address, s.data) for s in elf.segments], symbols, {s.name: s.size for s in elf.symbols})


@pytest.fixture(scope="module", params=[("gcc", "-Os"), ("gcc", "-O2"), ("zig", "-Os"), ("zig", "-O2")], ids="".join)
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Core:
    try:
        return built(tmp_path_factory.mktemp("faults"), *request.param)
    except MissingToolError as e:
        pytest.skip(str(e))


def moments(core: Core, name: str, function: str = "hm_gate_judge") -> Iterator[str]:
    """The call before each of its instructions; whatever is done to the core there is undone before the next one."""
    core.judge(name, function)
    count = 0
    while core.get("PC") != STOP:
        before = core.keep()
        count += 1
        yield f"{core.get('PC'):#x}, instruction {count}"
        core.back(before)
        assert core.run(1) != -1
    assert core.get("R0") in (MATCH, NO_MATCH, ERROR)
    assert count > 5


@pytest.mark.parametrize("name", ["yes", *VERDICTS])
def test_judgement_without_a_fault(core: Core, name: str) -> None:
    wanted = {"yes": MATCH, "no": NO_MATCH, "far from it": NO_MATCH}.get(name, ERROR)
    for _ in moments(core, name):  # stopped anywhere and gone on with, it says the same
        assert core.answer() == wanted


def left_out(core: Core, name: str, function: str = "hm_gate_judge") -> list[str]:
    """The instructions without which it is a match."""
    found = []
    for where in moments(core, name, function):
        at = core.get("PC")
        wide = core.core.mem_read(at, 2)[1] >> 3 in (0b11101, 0b11110, 0b11111)
        core.set("PC", at + (4 if wide else 2) | 1)
        if core.answer() == MATCH:
            found.append(where)
    return found


@pytest.mark.parametrize("name", VERDICTS)
def test_no_instruction_that_is_left_out_makes_a_match(core: Core, name: str) -> None:
    assert left_out(core, name) == []


def flipped(core: Core, name: str, registers: list[str], bits: range, function: str = "hm_gate_judge") -> list[str]:
    """The bits that make a match when they flip."""
    found = []
    for where in moments(core, name, function):
        here = core.keep()
        for register in registers:
            for bit in bits:
                core.back(here)
                core.set(register, (core.get(register) ^ 1 << bit) | (register == "PC"))
                if core.answer() == MATCH:
                    found.append(f"{where}, {register}, bit {bit}")
    return found


def test_faults_of_a_gate_that_asks_once_are_found(core: Core) -> None:
    if core.compiler == "gcc":  # zig writes the word that refuses in two instructions: without one it is neither word
        assert left_out(core, "no", "judge_by_a_branch") != []
    assert flipped(core, "no", ["CPSR"], range(28, 32), "judge_by_a_branch") != []


FLIPPED = ["no", "far from it", "too low, and called a match", "high, and called none"]


@pytest.mark.parametrize("name", FLIPPED)
def test_no_flipped_flag_makes_a_match(core: Core, name: str) -> None:
    assert flipped(core, name, ["CPSR"], range(28, 32)) == []


def test_flipped_bits_of_registers_make_no_match(core: Core) -> None:
    assert flipped(core, "no", REGISTERS, range(0, 32, 5)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FLIPPED)
def test_no_flipped_bit_of_any_register_makes_a_match(core: Core, name: str) -> None:
    assert flipped(core, name, REGISTERS, range(32)) == []
