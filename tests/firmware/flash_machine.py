"""Drives flash_machine.c: the store and the gate over a simulated flash that loses power at operation k."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from c_programs import HOST, SANITIZED, sanitizes
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import CORE, emit_engine
from hyper_mcu.codegen.toolchain import C_WARNINGS, WARNINGS

HERE = Path(__file__).parent
DEVICE = CORE.parent / "device"
MODULES = ("hm_flash.c", "hm_store.c", "hm_gate.c", "hm_seal.c", "hm_sha256.c")
NOTHING, WHOLE, HALF, RANDOM, UNSTABLE = RESIDUES = range(5)
NAMES = ("nothing", "whole", "half", "random", "unstable")
OFF = "off"
SLOT_HEAD = 160  # bytes of a slot before the person


@dataclass(frozen=True)
class Geometry:
    """A partition: bytes that are erased and programmed at once, how many units, the largest sealed person."""

    unit: int
    word: int
    units: int
    largest: int

    def __str__(self) -> str:
        return f"{self.unit // 1024}K-{self.word}"

    @property
    def slot(self) -> int:
        """Bytes of a slot: as many units as the largest person needs."""
        return -(-(SLOT_HEAD + self.largest) // self.unit) * self.unit


# Slots of three units, two, one and three; two places each.
STORES = (
    Geometry(4096, 4, 12, 9000),
    Geometry(16384, 32, 8, 20000),
    Geometry(131072, 1, 4, 1500),
    Geometry(2048, 8, 12, 5000),
)


@dataclass(frozen=True)
class Blob:
    """A sealed person as far as the store looks: a valid head, a payload and a tag of made-up bytes."""

    name: str
    counter: int
    sealed: bytes

    @property
    def listed(self) -> str:
        return f"{self.name}:{self.counter}:{zlib.crc32(self.sealed):08x}"

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Bytes of the payload that no other blob has, from every part of it."""
        return tuple(self.sealed[at : at + 16] for at in range(128, len(self.sealed) - 47, 512))


@cache
def noise(seed: int, n: int) -> bytes:
    """xorshift32's bytes."""
    x, out = seed * 2654435761 % 2**32 | 1, bytearray()
    for _ in range(n):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        out.append(x >> 24)
    return bytes(out)


def blob(name: str, counter: int, size: int, seed: int | None = None) -> Blob:
    """A sealed person of `size` bytes, a multiple of 4."""
    payload = size - 160
    head = struct.pack("<4s7I", b"HMsp", 1, size, 0, 1, counter, payload, 0)
    body = noise(counter if seed is None else seed, payload + 48)
    return Blob(name, counter, head + body[:16] + bytes(16) + name.encode().ljust(48, b"\0") + bytes(16) + body[16:])


@cache
def people(geometry: Geometry) -> list[Blob]:
    """Four, of three names; each reaches into the second unit of its slot, where there is one."""
    n = min(geometry.unit + 300, geometry.largest - 40) // 4 * 4
    return [blob("anna", 10, n), blob("berta", 11, n - 100), blob("anna", 12, n - 4), blob("carl", 13, n)]


def build(folder: Path, compiler: str = HOST, *, sanitised: bool = True) -> Path:
    """The program, under the sanitizers where that is asked for and this compiler has them; no warning is allowed."""
    (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    program = folder / f"machine-{compiler}-{sanitised}"
    how = [*SANITIZED, "-O1"] if sanitised and sanitizes(compiler) else ["-O2"]
    sources = [HERE / "flash_machine.c", *(DEVICE / m for m in MODULES)]
    flags = ["-std=c11", *WARNINGS, *C_WARNINGS, *how, f"-I{folder}", f"-I{HERE}", f"-I{DEVICE}"]
    done = subprocess.run(
        [compiler, *flags, *map(str, sources), "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return program


class Machine:
    """A running program. What it says on stderr, and that it ends early, fails the test."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=-1
        )
        self._blobs: dict[Blob, int] = {}
        self.geometry = Geometry(0, 0, 0, 0)

    def ask(self, *commands: str) -> list[str]:
        """One answer a command."""
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._process.stdin.write("\n".join(commands) + "\n")
        self._process.stdin.flush()
        answers = [self._process.stdout.readline().rstrip("\n") for _ in commands]
        if "" in answers:
            raise AssertionError(f"{commands}: {answers}: {self._process.stderr.read()}")
        return answers

    def one(self, command: str) -> str:
        return self.ask(command)[0]

    def code(self, command: str) -> int:
        return int(self.one(command).split()[0])

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        said = self._process.stderr.read() if self._process.stderr else ""
        assert (self._process.wait(), said) == (0, "")

    def new(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.ask(f"new {geometry.unit} {geometry.word} {geometry.units}")

    def power(self, cut: int = 0, residue: int = 0, seed: int = 1) -> None:
        self.ask(f"power {cut} {residue} {seed}")

    def mount(self) -> str:
        """The list after a mount that has to succeed, or OFF."""
        code, listed = self.ask(f"mount {self.geometry.largest}", "list")
        assert code == OFF or code.startswith("0 "), code
        return OFF if OFF in (code, listed) else canonical(listed)

    def start(self, cut: int = 0, residue: int = 0, seed: int = 1) -> str:
        """Power and mount."""
        self.power(cut, residue, seed)
        return self.mount()

    def list(self) -> str:
        return canonical(self.one("list"))

    def load(
        self, b: Blob, *, replace: bool = False, part: int = 1000, stop: int = 1 << 30, name: str = ""
    ) -> tuple[int, int] | str:
        """Code and the byte that the upload began with, or OFF."""
        if b not in self._blobs:
            if len(self._blobs) == 160:  # as many as flash_machine.c keeps
                self._blobs.clear()
            self._blobs[b] = len(self._blobs)
            self.ask(f"blob {self._blobs[b]} {b.sealed.hex()}")
        answer = self.one(f"load {self._blobs[b]} {name or b.name} {int(replace)} {part} {stop}")
        if answer == OFF:
            return OFF
        code, start = answer.split()
        return int(code), int(start)

    def holds(self, marks: Iterable[bytes]) -> bool:
        """Whether any of these bytes are anywhere in flash."""
        return any(self.one(f"holds {m.hex()}") == "1" for m in marks)

    def done(self) -> int:
        return int(self.one("done"))


def canonical(listed: str) -> str:
    """A list in the order of names: `counter name:counter:crc …`."""
    counter, *people = listed.split()
    return " ".join([counter, *sorted(people)])


def state(counter: int, *people: Blob) -> str:
    """The list of a store that holds these."""
    return canonical(" ".join([str(counter), *(p.listed for p in people)]))


def settled(m: Machine, seed: int) -> set[str]:
    """The lists of the store, mount after mount, whatever torn cells read each time: one, where all is well."""
    return {m.start(seed=s) for s in (seed, seed + 1, seed + 18)}
