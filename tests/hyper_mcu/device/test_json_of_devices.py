"""SPEC.md's tables of what the commands of devices print with --json, held against what they print."""

from __future__ import annotations

from pathlib import Path

from devices import Told, needs_compiler
from test_json_documented import disagreements, documented

from hyper_mcu.device.process import SELFTEST, Process

DEFINES = (SELFTEST,)  # of the device that conftest.py compiles


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


@needs_compiler
def test_json_of_people_on_a_device_is_the_documented_one(
    told: Told, files: Path, process: Process, at: tuple[object, ...]
) -> None:
    for name, words in (
        ("send", ("send", files / "alice.bin", *at)),
        ("people list", ("people", "list", "--port", process.line)),
        ("validate", ("validate", files / "alice.bin", *at)),
    ):
        (whole,) = documented(name)
        value = told(*words)
        assert disagreements({"schema_version": 1, **value}, whole) == set(), name
