"""The selftest application as a process: what it says of nobody, of people, and of C with a fault in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from devices import ALICE, BOB, KEY, keep_key, needs_compiler, wrong_known_answer
from people import TINY
from spoken import Line

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import compile_program
from hyper_mcu.device.boards import BOARDS
from hyper_mcu.device.client import layer_crcs
from hyper_mcu.device.process import Process
from hyper_mcu.device.project import project

pytestmark = needs_compiler

VECTORS = ["SHA-256, FIPS 180-4", "HMAC-SHA-256, RFC 4231", "CRC-32"]


def built(folder: Path, people: Sequence[Person] = (ALICE,), change: tuple[str, str] = ("", "")) -> Path:
    """The host's project of it, compiled; change: of its C, to plant a fault."""
    made = project(BOARDS["host"], people, app="selftest")
    old, new = (part.encode() for part in change)
    assert not old or any(old in data for data in made.files.values())
    for name, data in made.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data.replace(old, new) if old and name.endswith((".c", ".h")) else data)
    sources = [folder / name for name in made.files if name.endswith(".c")]
    places = [folder / name for name in ("engine", "firmware/device", "firmware/ports/host")]
    return compile_program(
        sources, target_named("host"), out=folder / "device", include_dirs=places,
        defines=["HM_FACTORY=1", "HM_SELFTEST=1"], optimise="-O0",
    ).elf  # fmt: skip


def said(program: Path, *options: object) -> list[str]:
    """Its lines but for the first and the last."""
    line = Line(Process(program, *options, line=()))
    lines = [line.heard()]
    while not lines[-1].startswith("stack: "):
        lines.append(line.heard())
        assert lines[-1]
    line.end()
    assert lines[0] == "hyper-mcu on host: ready"
    assert re.fullmatch(r"stack: \d+ bytes, session: \d+ bytes", lines[-1])
    return lines[1:-1]


def known_answer(p: Person) -> str:
    """A pattern of what it says of a person."""
    crcs = layer_crcs(oracle.run(p.qnet, oracle.known_image(TINY, p.known.seed)))
    layers = "".join(rf"  layer {i}: CRC-32 {crc:08x}, cycles \d+\n" for i, crc in enumerate(crcs))
    return rf"{p.name}: known answer: done\n{layers}  all: cycles \d+ at 1000 MHz\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, with two people."""
    return built(tmp_path_factory.mktemp("selftest"), (ALICE, BOB))


def test_people_of_the_program_are_tested_before_they_are_stored_and_after(program: Path, tmp_path: Path) -> None:
    want = "".join(f"{vector}: right\n" for vector in VECTORS) + known_answer(ALICE) + known_answer(BOB)
    words = ("--flash", tmp_path / "flash", "--key", tmp_path / "key")
    assert re.fullmatch(want, "\n".join(said(program, *words)) + "\n")  # no key yet, and nobody stored
    keep_key(tmp_path / "key", KEY)
    for _ in range(2):
        assert re.fullmatch(want, "\n".join(said(program, *words)) + "\n")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("0x428A2F98", "0x428A2F99"), VECTORS[:2]),
        (("0x36 ^ 0x5C", "0x36 ^ 0x5D"), VECTORS[1:2]),
        (("0x7CDCEFB7", "0x7CDCEFB6"), VECTORS[2:]),
    ],
    ids=["SHA-256", "HMAC", "CRC-32"],
)
def test_a_fault_in_a_hash_or_check_sum_is_said(tmp_path: Path, change: tuple[str, str], wrong: list[str]) -> None:
    lines = said(built(tmp_path, (), change))
    assert lines == [f"{vector}: {'WRONG' if vector in wrong else 'right'}" for vector in VECTORS]


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_a_person_of_the_program_with_another_answer_is_said(tmp_path: Path, key: object) -> None:
    carol = replace(wrong_known_answer(ALICE), name="carol")
    if key:
        keep_key(tmp_path / "key", KEY)
    lines = said(built(tmp_path, (carol,)), "--key", tmp_path / "key")
    before = "people that came with the program" if key else "carol: known answer"
    assert lines[3:] == [f"{before}: not the known answer"]
