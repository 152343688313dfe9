"""What the tests of devices share: a device as a process, files of people and keys, and a command's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devices import ALICE, BOB, KEY, OTHER_KEY, SMALL, STRANGER, Board, Told, client, compiled, healthy
from enrolled import Command
from ports import Plugged

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device import keys
from hyper_mcu.device.client import Device
from hyper_mcu.device.keys import Key
from hyper_mcu.device.process import REPLAY, SELFTEST, Process


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device for tiny people: replay and self-test, or by the macros that a module calls DEFINES."""
    defines = getattr(request.module, "DEFINES", (REPLAY, SELFTEST))
    return compiled(tmp_path_factory.mktemp("device"), ALICE, defines=defines)


@pytest.fixture
def board(program: Path, tmp_path: Path) -> Board:
    """The same with a key, in small flash, not started yet."""
    return Board(program, tmp_path, *SMALL)


@pytest.fixture
def device(board: Board) -> Iterator[Device]:
    """A client of it, started, with nobody on it; whatever a test does, it never opens and never faults."""
    with board.start() as process, client(process) as d:
        yield d
        assert healthy(process.kill())


@pytest.fixture
def process(program: Path, tmp_path: Path) -> Iterator[Process]:
    """The device with a key, in flash of the usual size, started, with nobody on it."""
    with Board(program, tmp_path).start() as started:
        yield started


@pytest.fixture
def at(process: Process, files: Path) -> tuple[object, ...]:
    """The words of a command that reach it, and may change who is on it."""
    return ("--port", process.line, "--key", files / "key.json")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files and people."""
    folder = tmp_path_factory.mktemp("files")
    keys.save(KEY, folder / "key.json")
    keys.save(OTHER_KEY, folder / "other.json")
    keys.save(Key(7, KEY.key), folder / "seven.json")
    for p in (ALICE, BOB, STRANGER):
        (folder / f"{p.name}.bin").write_bytes(pack(p))
    (folder / "alice.h").write_text(emit(ALICE))
    return folder


@pytest.fixture
def told(command: Command, capsys: pytest.CaptureFixture[str]) -> Told:
    """The JSON of `hyper-mcu WORDS --json`, which must go well."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        assert command(*words, "--json") == 0
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert value.pop("schema_version") == 1
        return value

    return run


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Plugged:
    """Makes these the ports that pyserial finds."""
    pytest.importorskip("serial", reason="needs hyper-mcu[device]: pyserial")

    def plug(*ports: Any) -> None:
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(ports))

    return plug
