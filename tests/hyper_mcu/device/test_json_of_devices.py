"""SPEC.md's tables of what the commands of devices print with --json, held against what they print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from c_programs import HOST
from devices import ALICE, NO_COMPILER, Board, compiled
from test_json_documented import disagreements, documented

Told = Callable[..., dict[str, Any]]


def test_boards_json_is_the_documented_one(told: Told) -> None:
    whole, board = documented("boards")
    value = told("boards")
    assert disagreements({"schema_version": 1, **value}, whole) == set()
    assert all(disagreements(row, board) == set() for row in value["boards"])


def test_projects_json_is_the_documented_one(told: Told, files: Path, tmp_path: Path) -> None:
    (whole,) = documented("new-project")
    value = told("new-project", "--board", "host", "--person", files / "alice.bin", "--out", tmp_path / "door")
    assert disagreements({"schema_version": 1, **value}, whole) == set()


def test_flashs_json_is_the_documented_one(told: Told) -> None:
    (whole,) = documented("flash")
    value = told("flash", "--board", "nucleo-f411re", "--dry-run")
    assert disagreements({"schema_version": 1, **value}, whole) == set()


@pytest.mark.skipif(not HOST, reason=NO_COMPILER)
def test_json_of_people_on_a_device_is_the_documented_one(told: Told, files: Path, tmp_path: Path) -> None:
    program = compiled(tmp_path, ALICE, defines=("HM_SELFTEST=1",))
    with Board(program, tmp_path).start() as device:
        at, key = ("--port", device.line), ("--key", files / "key.json")
        for name, words in (
            ("send", ("send", files / "alice.bin", *at, *key)),
            ("people list", ("people", "list", *at)),
            ("validate", ("validate", files / "alice.bin", *at, *key)),
        ):
            (whole,) = documented(name)
            value = told(*words)
            assert disagreements({"schema_version": 1, **value}, whole) == set(), name
