"""What tests of the firmware share: flash_machine.c, image_program.c and boards' images, compiled once; a store and a
gate in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from c_programs import sanitizes
from emulated_bench import Bench, Images
from flash_machine import STORES, Machine, build
from gate_machine import GATES, mount
from image_calls import SMALL, Calls

from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.person import Person
from hyper_mcu.device.boards import BOARDS
from hyper_mcu.device.build import compile_board


@pytest.fixture(scope="session")
def flash_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="session")
def fast_flash_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fast"), sanitised=False)


@pytest.fixture(scope="module")
def machine(flash_machine: Path) -> Iterator[Machine]:
    """A process of flash_machine.c for each test file."""
    m = Machine(flash_machine)
    yield m
    m.close()


@pytest.fixture(scope="module")
def fast(fast_flash_machine: Path) -> Iterator[Machine]:
    """The same without sanitizers, for thousands of cuts and mounts."""
    m = Machine(fast_flash_machine)
    yield m
    m.close()


@pytest.fixture(params=STORES, ids=str)
def mounted(machine: Machine, request: pytest.FixtureRequest) -> Machine:
    """An empty store, mounted."""
    machine.new(request.param)
    assert machine.start() == "0"
    return machine


@pytest.fixture(params=GATES, ids=str)
def gate(fast: Machine, request: pytest.FixtureRequest) -> Machine:
    """A gate without failures, mounted."""
    fast.new(request.param)
    assert mount(fast) == 0
    return fast


@pytest.fixture(scope="session")
def small_person() -> Person:
    return seeded(SMALL)


@pytest.fixture(scope="session")
def calls(tmp_path_factory: pytest.TempPathFactory, small_person: Person) -> Calls:
    """hm_image around small_person, on this machine."""
    sanitise = any(sanitizes(c) for c in ("gcc", "cc"))
    return Calls(tmp_path_factory.mktemp("image"), small_person, sanitise=sanitise)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Benches, each with an empty flash; an image is compiled once. owner: whose network it runs."""
    built: dict[tuple[object, ...], Path] = {}

    def bench(board: str, app: str = "selftest", *, owner: Person, extra: tuple[Path, ...] = ()) -> Bench:
        which = (board, app, owner.qnet.spec, extra)
        if which not in built:
            out = tmp_path_factory.mktemp("image") / "device.elf"
            built[which] = compile_board(BOARDS[board], app, out, emit_engine(owner), extra=extra)
        return Bench(board, built[which], tmp_path_factory.mktemp("board"))

    return bench
