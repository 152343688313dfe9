"""One fault does not open a seal: every instruction left out, bits of registers flipped, on an emulated Cortex-M4."""

from __future__ import annotations

import hashlib
import hmac
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.device.client import MATCH
from hyper_mcu.device.keys import Key
from hyper_mcu.device.seal import TAG, seal, tag

uc = pytest.importorskip("unicorn", reason="needs hyper-mcu[emulate]: unicorn")
elf = pytest.importorskip("elftools.elf.elffile", reason="needs hyper-mcu[test]: pyelftools")
arm = pytest.importorskip("unicorn.arm_const")

GCC = "arm-none-eabi-gcc"
FIRMWARE = Path(__file__).parents[2] / "firmware"
SOURCES = [FIRMWARE / name for name in ("device/hm_seal.c", "device/hm_sha256.c", "ports/cortex_m/memory.c")]
CODE, RAM, SIZE = 0x10000, 0x20000000, 0x10000
STACK, END = RAM + SIZE - 256, RAM + SIZE - 16  # END: where the function returns to
BYTES, SECRET, SEALED, DECISION = RAM, RAM + 0x4000, RAM + 0x5000, RAM + 0x5100
NOPS = {2: bytes.fromhex("00bf"), 4: bytes.fromhex("aff30080")}
KEY, COUNTER = Key(3, bytes(range(32))), 7
ALL = ["-O1", "-O2", "-Os"]
MOST = 200_000  # instructions of a run, more than twice what opening takes

pytestmark = pytest.mark.skipif(not shutil.which(GCC), reason=f"no {GCC} on PATH")


@dataclass(frozen=True)
class Image:
    """A linked program: its bytes from CODE on, and for each function where it is and how long."""

    data: bytes
    functions: dict[str, tuple[int, int]]

    def inside(self, pc: int, *names: str) -> bool:
        return any(at <= pc < at + n for at, n in (self.functions[x] for x in names if x in self.functions))


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    options = ["-mcpu=cortex-m4", "-mthumb", "-ffreestanding", "-std=c11", request.param, f"-I{folder}"]
    options += ["-nostdlib", f"-Wl,-Ttext={CODE:#x}", "-Wl,-e,hm_seal_open", "-Wl,--build-id=none"]
    subprocess.run([GCC, *options, *SOURCES, "-lgcc", "-o", folder / "seal.elf"], check=True)
    with (folder / "seal.elf").open("rb") as f:
        read: Any = elf.ELFFile(f)
        section = read.get_section_by_name(".text")
        parts = [x for x in read.iter_segments("PT_LOAD") if x.section_in_segment(section)]
        data = parts[0].data()[section["sh_addr"] - parts[0]["p_vaddr"] :]
        assert section["sh_addr"] == CODE
        symbols = read.get_section_by_name(".symtab").iter_symbols()
        found = {s.name: (s["st_value"] & ~1, s["st_size"]) for s in symbols if s["st_info"]["type"] == "STT_FUNC"}
    return Image(data, found)


class Core:
    """A Cortex-M4 about to run hm_seal_open on some bytes."""

    def __init__(self, image: Image, data: bytes, number: int = KEY.number, counter: int = COUNTER - 1) -> None:
        self.core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self.core.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        self.core.mem_map(CODE, 0x10000)
        self.core.mem_map(RAM, SIZE)
        self.core.mem_write(CODE, image.data)
        self.core.mem_write(BYTES, data)
        self.core.mem_write(SECRET, KEY.key)
        self.core.mem_write(DECISION, struct.pack("<I", MATCH))  # what the caller may have had there before
        self.core.mem_write(STACK, struct.pack("<3I", counter, SEALED, DECISION))
        for register, value in enumerate((BYTES, len(data), SECRET, number)):
            self.core.reg_write(arm.UC_ARM_REG_R0 + register, value)
        self.core.reg_write(arm.UC_ARM_REG_SP, STACK)
        self.core.reg_write(arm.UC_ARM_REG_LR, END | 1)
        self.core.reg_write(arm.UC_ARM_REG_PC, image.functions["hm_seal_open"][0] | 1)

    @property
    def pc(self) -> int:
        return int(self.core.reg_read(arm.UC_ARM_REG_PC))

    def run(self, count: int = MOST) -> bool:
        """On to the end or so many instructions; whether it got there without a fault of the core."""
        try:
            self.core.emu_start(self.pc | 1, END, count=count)
        except uc.UcError:
            return False
        return True

    def run_to(self, pc: int) -> None:
        self.core.emu_start(self.pc | 1, pc)
        assert self.pc == pc

    def opened(self) -> bool:
        """Whether what runs on from here is taken for a right seal by who asks for both."""
        if not self.run() or self.pc != END:
            return False
        (decision,) = struct.unpack("<I", self.core.mem_read(DECISION, 4))
        return bool(self.core.reg_read(arm.UC_ARM_REG_R0) == 0 and decision == MATCH)

    def keep(self) -> tuple[Any, bytes]:
        return self.core.context_save(), bytes(self.core.mem_read(RAM, SIZE))

    def back(self, state: tuple[Any, bytes]) -> None:
        self.core.context_restore(state[0])
        self.core.mem_write(RAM, state[1])

    def flip(self, register: int, bit: int) -> None:
        name = arm.UC_ARM_REG_R0 + register
        self.core.reg_write(name, self.core.reg_read(name) ^ 1 << bit)

    def leave_out(self) -> None:
        """The next instruction does nothing."""
        at = self.pc
        first = bytes(self.core.mem_read(at, 4))
        size = 4 if first[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        self.core.mem_write(at, NOPS[size])
        self.core.ctl_remove_cache(at, at + size)
        self.run(1)
        self.core.mem_write(at, first[:size])
        self.core.ctl_remove_cache(at, at + size)


@cache
def forgeries() -> dict[str, tuple[bytes, int, int]]:
    """Sealed people that are not to be opened, the number of the device's key, the counter that it accepted last."""
    good = seal(person(net(TINY)), KEY, COUNTER, id=bytes(16))
    payload = good[:24] + struct.pack("<I", 4) + good[28:132]  # a short one: less to hash
    body = payload[:8] + struct.pack("<I", len(payload) + TAG) + payload[12:]
    right = body + tag(KEY, body)
    other = Key(~KEY.number & 0xFFFFFFFF, KEY.key)
    zero = hmac.digest(hmac.digest(bytes(32), b"hyper-mcu seal\3\0\0\0", "sha256"), body, "sha256")
    renumbered = body[:16] + struct.pack("<I", other.number) + body[20:]
    return {
        "right": (right, KEY.number, COUNTER - 1),
        "a tag of zeros": (body + bytes(TAG), KEY.number, COUNTER - 1),
        "a tag with every bit wrong": (right[:-TAG] + bytes(b ^ 0xFF for b in right[-TAG:]), KEY.number, COUNTER - 1),
        "a tag with one bit wrong": (right[:-1] + bytes([right[-1] ^ 0x80]), KEY.number, COUNTER - 1),
        "a tag under a derived key of zeros": (body + hmac.digest(bytes(32), body, "sha256"), KEY.number, COUNTER - 1),
        "a tag under a device's key of zeros": (body + zero, KEY.number, COUNTER - 1),
        "the hash as the tag": (body + hashlib.sha256(body).digest(), KEY.number, COUNTER - 1),
        "an old one": (right, KEY.number, COUNTER),
        "an old one with a wrong tag": (body + bytes(TAG), KEY.number, 2**32 - 1),
        "another key number": (renumbered + tag(KEY, renumbered), KEY.number, COUNTER - 1),
        "another number, sealed by its own key": (renumbered + tag(other, renumbered), KEY.number, COUNTER - 1),
        "another number, a wrong tag": (renumbered + bytes(TAG), KEY.number, COUNTER - 1),
        "no sealed person": (right[:4] + b"\2" + right[5:], KEY.number, COUNTER - 1),
    }


HASHING = ("hm_sha256_block", "memcpy", "memset")
FORGED = [name for name in forgeries() if name != "right"]
# One that is only old is a right one for who asks with a lower counter, as a flipped bit of that number does.
FLIPPED = [name for name in FORGED if name != "an old one"]


def moments(image: Image, core: Core, one_in: int, rng: random.Random) -> Iterator[None]:
    """The core before each instruction, or one in so many at random; those inside of HASHING left out: a wrong hash is
    as far from the right tag as any."""
    while core.pc != END:
        if image.inside(core.pc, *HASHING):
            core.run_to(core.core.reg_read(arm.UC_ARM_REG_LR) & ~1)  # they call nothing
            continue
        if rng.randrange(one_in) == 0:
            before = core.keep()
            yield
            core.back(before)
        assert core.run(1)


def left_out(image: Image, name: str, one_in: int) -> list[tuple[int, bool]]:
    """Every instruction, or one in so many, left out, each in a run of its own: where it is, whether that opened."""
    core, tried = Core(image, *forgeries()[name]), []
    for _ in moments(image, core, one_in, random.Random(name)):
        at = core.pc
        core.leave_out()
        tried.append((at, core.opened()))
    return tried


def flipped(image: Image, name: str, one_in: int, each: int) -> list[tuple[int, int, bool]]:
    """`each` bits of registers flipped before every instruction, or one in so many, each in a run of its own: the
    register, its bit, whether that opened."""
    core, rng, tried = Core(image, *forgeries()[name]), random.Random(name), []
    for _ in moments(image, core, one_in, rng):
        here = core.keep()
        for _ in range(each):
            register, bit = rng.randrange(13), rng.randrange(32)
            core.flip(register, bit)
            tried.append((register, bit, core.opened()))
            core.back(here)
    return tried


@pytest.mark.parametrize("image", ALL, indirect=True)
def test_a_right_seal_opens_and_a_forged_one_does_not(image: Image) -> None:
    opened = {name: Core(image, *given).opened() for name, given in forgeries().items()}
    assert opened == {name: name == "right" for name in forgeries()}


@pytest.mark.parametrize("image", ["-Os"], indirect=True)
@pytest.mark.parametrize("name", FORGED)
def test_an_instruction_left_out_opens_no_forged_one(image: Image, name: str) -> None:
    tried = left_out(image, name, one_in=20)
    assert len(tried) > 50
    assert [where for where, opened in tried if opened] == []


@pytest.mark.parametrize("image", ["-Os"], indirect=True)
@pytest.mark.parametrize("name", FLIPPED)
def test_a_flipped_bit_of_a_register_opens_no_forged_one(image: Image, name: str) -> None:
    tried = flipped(image, name, one_in=20, each=1)
    assert len(tried) > 50
    assert [(register, bit) for register, bit, opened in tried if opened] == []


@pytest.mark.slow
@pytest.mark.parametrize("image", ALL, indirect=True)
@pytest.mark.parametrize("name", FORGED)
def test_no_instruction_left_out_opens_a_forged_one(image: Image, name: str) -> None:
    tried = left_out(image, name, one_in=1)
    assert len(tried) > 1000
    assert [where for where, opened in tried if opened] == []


@pytest.mark.slow
@pytest.mark.parametrize("image", ALL, indirect=True)
@pytest.mark.parametrize("name", FLIPPED)
def test_a_great_many_flipped_bits_open_no_forged_one(image: Image, name: str) -> None:
    tried = flipped(image, name, one_in=1, each=5)
    assert len(tried) > 5000
    assert [(register, bit) for register, bit, opened in tried if opened] == []


@pytest.mark.parametrize("image", ALL, indirect=True)
def test_comparing_takes_the_same_instructions_wherever_secrets_differ(image: Image) -> None:
    secret = bytes(range(32))
    counts = set()
    for bit in (None, *range(256)):
        other = bytearray(secret)
        if bit is not None:
            other[bit // 8] ^= 1 << bit % 8
        core = Core(image, secret + bytes(other)).core
        count = 0

        def step(*_: object) -> None:
            nonlocal count
            count += 1

        core.hook_add(uc.UC_HOOK_CODE, step)
        for register, value in ((arm.UC_ARM_REG_R1, BYTES + 32), (arm.UC_ARM_REG_R2, 32)):
            core.reg_write(register, value)
        core.emu_start(image.functions["hm_equal_secret"][0] | 1, END)
        assert (core.reg_read(arm.UC_ARM_REG_R0) == MATCH) is (bit is None)
        counts.add(count)
    assert len(counts) == 1
