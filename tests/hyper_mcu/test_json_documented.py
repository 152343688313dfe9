"""SPEC.md's tables of what commands print with --json, held against what they print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import fake_model
import pytest
from enrolled import PORTRAIT, TEAM, Command
from people import TINY, net, person
from quantised import quantised

from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.generator import SHIPPED

SPEC = Path(__file__).parents[2] / "SPEC.md"
TYPES: dict[str, Callable[[Any], bool]] = {
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "number or null": lambda v: v is None or TYPES["number"](v),
    "string": lambda v: isinstance(v, str),
    "string or null": lambda v: v is None or isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    **{
        f"list of {what}s": lambda v, what=what: isinstance(v, list) and all(map(TYPES[what], v))
        for what in ("number", "string", "object")
    },
    **{
        f"object of {what}s": lambda v, what=what: isinstance(v, dict) and all(map(TYPES[what], v.values()))
        for what in ("number", "object", "string")
    },
    "object of lists of numbers": lambda v: isinstance(v, dict) and all(map(TYPES["list of numbers"], v.values())),
    "list of lists of strings": lambda v: isinstance(v, list) and all(map(TYPES["list of strings"], v)),
    "object": lambda v: isinstance(v, dict),
    "object or null": lambda v: v is None or isinstance(v, dict),
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
def told(command: Command, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """The JSON of `hyper-mcu WORDS --json`."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        command(*words, "--json")
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        return value

    return run


def test_enrolls_json_is_the_documented_one(told: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    whole, person, photo = documented("enroll")
    value = told("enroll", PORTRAIT, TEAM, "--out", tmp_path)  # of which the second shows sixteen people
    assert value["schema_version"] == 1
    assert (len(value["people"]), len(value["refused"])) == (1, 1)
    assert disagreements(value, whole) == set()
    assert disagreements(value["people"][0], person) == set()
    assert disagreements(value["people"][0]["photos"][0], photo) == set()


def test_verifys_json_is_the_documented_one(told: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    whole, run = documented("verify")
    told("enroll", PORTRAIT, "--out", tmp_path / "a.h")
    for photo, which, missing in ((TEAM, "any", set()), (TEAM, "2", {"compared", "fmr_of_best"})):
        value = told("verify", photo, "--face", which, "--model", tmp_path / "a.h")
        assert value["schema_version"] == 1
        assert disagreements(value, whole) == missing
        assert disagreements(value["runs"]["host"], run) == set()


def test_inspects_json_is_the_documented_one(told: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    whole, layer, generator = documented("inspect")
    (tmp_path / "a.bin").write_bytes(pack(person(net(TINY))))
    value = told("inspect", tmp_path / "a.bin")
    assert value["schema_version"] == 1
    assert disagreements(value, whole) == set()
    of_an_add = {"accumulator_bound", "accumulator_bits", "out_scale"}
    missing = [set(), set(), of_an_add, set()]
    assert [disagreements(row, layer) for row in value["layers"]] == missing
    value = told("inspect", SHIPPED)
    assert value["schema_version"] == 1
    assert disagreements(value, generator) == set()


@pytest.mark.parametrize(
    ("form", "needs"),
    [("c", ()), ("bin", ()), ("onnx", ("onnx",)), ("tflite", ("tflite",)), ("tflm", ("tflite", "tflite_micro"))],
)
def test_exports_json_is_the_documented_one(
    told: Callable[..., dict[str, Any]], tmp_path: Path, form: str, needs: tuple[str, ...]
) -> None:
    for module in needs:
        pytest.importorskip(module, reason=f"needs hyper-mcu[{'onnx' if form == 'onnx' else 'tflite'}]: {module}")
    (whole,) = documented("export")
    (tmp_path / "a.bin").write_bytes(pack(person(quantised(TINY))))
    out = tmp_path / {"c": "a.h", "bin": "b.bin", "tflm": "tflm"}.get(form, f"a.{form}")
    value = told("export", form, tmp_path / "a.bin", "--out", out)
    assert (value["schema_version"], value["form"]) == (1, form)
    of_tflm = {"arena_bytes", "measured_by", "operators", "warnings"}
    assert disagreements(value, whole) == (set() if form == "tflm" else of_tflm)
    assert {Path(f["path"]): f["bytes"] for f in value["files"]} == {
        path: path.stat().st_size for path in (out.iterdir() if form == "tflm" else [out])
    }


@pytest.mark.parametrize("target", ["host", "m4", "m55"])
def test_benchs_json_is_the_documented_one(told: Callable[..., dict[str, Any]], target: str) -> None:
    if why := fake_model.missing(target, ("auto", target)):
        pytest.skip(why)
    whole, figures, layer = documented("bench")
    value = told("bench", "--preset", "nano", "--targets", target)
    assert value["schema_version"] == 1
    assert disagreements(value, whole) == set()
    assert disagreements(value["targets"][target], figures) == set()
    assert [row for row in value["targets"][target]["layers"] if disagreements(row, layer)] == []


def test_what_varies_and_what_has_not_run_in_benchs_json_is_the_documented(
    told: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, figures, _ = documented("bench")
    monkeypatch.setattr("hyper_mcu.codegen.bench.varying", lambda costs: {"stage 0": (1, 2)})
    value = told("bench", "--preset", "nano", "--targets", "host")
    assert disagreements(value["targets"]["host"], figures) == set()
    assert value["targets"]["host"]["varies"] == {"stage 0": [1, 2]}
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    value = told("bench", "--preset", "nano", "--targets", "lx106")
    assert {key: TYPES["string"](v) for key, v in value["targets"]["lx106"].items()} == {"not_run": True}


def test_doctors_json_is_the_documented_one(told: Callable[..., dict[str, Any]]) -> None:
    whole, part = documented("doctor")
    value = told("doctor")
    assert value["schema_version"] == 1
    assert disagreements(value, whole) == set()
    assert [
        row for row in value["parts"] if disagreements(row, part) or bool(row["found"]) == bool(row["install"])
    ] == []
    assert set(value["missing"]) <= {row["name"] for row in value["parts"] if not row["found"]}
    assert value["ready"] is not bool(value["missing"])
