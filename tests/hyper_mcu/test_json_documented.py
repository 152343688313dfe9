"""SPEC.md's tables of what `enroll --json` and `verify --json` print, held against what they print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hyper_mcu.faces.weights import demo_photo

SPEC = Path(__file__).parents[2] / "SPEC.md"
PORTRAIT, TEAM = demo_photo("yaoming.jpg"), demo_photo("players.jpg")
TYPES: dict[str, Callable[[Any], bool]] = {
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "number or null": lambda v: v is None or TYPES["number"](v),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    **{
        f"list of {what}s": lambda v, what=what: isinstance(v, list) and all(map(TYPES[what], v))
        for what in ("number", "string", "object")
    },
    **{
        f"object of {what}s": lambda v, what=what: isinstance(v, dict) and all(map(TYPES[what], v.values()))
        for what in ("number", "object")
    },
    "object": lambda v: isinstance(v, dict),
}


def documented(command: str) -> list[dict[str, str]]:
    """The tables of SPEC.md's section on that command's JSON, in order: the type of each key."""
    section = SPEC.read_text(encoding="utf-8").split(f"## {command}'s JSON\n")[1].split("\n## ")[0]
    tables: list[dict[str, str]] = []
    for before, line in pairwise(section.splitlines()):
        if line.startswith("| ---"):
            assert before.split(" | ")[1] == "type"
            tables.append({})
        elif found := re.match(r"\| (`[^|]*`) \| ([^|]*) \|", line):
            keys, types = re.findall("`(.*?)`", found[1]), found[2].split(", ")
            tables[-1].update(zip(keys, types * len(keys) if len(types) == 1 else types, strict=True))
    return tables


def disagreements(value: dict[str, Any], table: dict[str, str]) -> set[str]:
    """Keys that only one of both has, or whose value is of another type."""
    return (value.keys() ^ table.keys()) | {k for k in value.keys() & table.keys() if not TYPES[table[k]](value[k])}


@pytest.fixture
def told(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """The JSON of `hyper-mcu WORDS --json`."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        command(*words, "--json")
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        return value

    return run


def test_enrolls_json_is_the_documented_one(told: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    whole, person = documented("enroll")
    value = told("enroll", PORTRAIT, TEAM, "--out", tmp_path)  # of which the second shows sixteen people
    assert value["schema_version"] == 1
    assert (len(value["people"]), len(value["refused"])) == (1, 1)
    assert disagreements(value, whole) == set()
    assert disagreements(value["people"][0], person) == set()


def test_verifys_json_is_the_documented_one(told: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    whole, run = documented("verify")
    told("enroll", PORTRAIT, "--out", tmp_path / "a.h")
    for photo, which, missing in ((TEAM, "any", set()), (TEAM, "2", {"compared", "fmr_of_best"})):
        value = told("verify", photo, "--face", which, "--model", tmp_path / "a.h")
        assert value["schema_version"] == 1
        assert disagreements(value, whole) == missing
        assert disagreements(value["runs"]["host"], run) == set()
