"""What the tests of commands that talk to a device share: files of people and keys, and a command's JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from devices import ALICE, BOB, KEY, OTHER_KEY, STRANGER
from enrolled import Command

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device import keys
from hyper_mcu.device.keys import Key


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
def told(command: Command, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """The JSON of `hyper-mcu WORDS --json`, which must go well."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        assert command(*words, "--json") == 0
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert value.pop("schema_version") == 1
        return value

    return run
