"""`hyper-mcu verify` as a user meets it: its verdict, what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from enrolled import PORTRAIT, STRANGER, TEAM, Command, Refused

from hyper_mcu.codegen import install
from hyper_mcu.faces import face_crops


@pytest.mark.parametrize(("photo", "face", "code"), [(TEAM, "any", 0), (STRANGER, None, 1), (PORTRAIT, None, 0)])
def test_host_and_core_give_one_verdict(
    model: Path, photo: Path, face: str | None, code: int, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    pytest.importorskip("unicorn", reason="needs hyper-mcu[emulate]: unicorn")
    words = ["verify", photo, "--model", model, "--target", "host,m4", "--json", *(["--face", face] if face else [])]
    assert command(*words) == code
    told = json.loads(capsys.readouterr().out)
    assert told["schema_version"] == 1
    assert told["match"] is (code == 0)
    assert told["match"] is (told["logit"] >= told["threshold"])
    assert told["target"] == "host,m4"
    assert len(told["layers_sha256"]) == 64
    assert told["runs"]["m4"]["ram_bytes"] == told["runs"]["host"]["ram_bytes"]
    assert told["faces"] == told.get("compared", 1) == (16 if face else 1)
    assert told.get("fmr_of_best") == (1 - (1 - told["fmr"]) ** 16 if face else None)


def test_the_face_that_was_taken_of_many_is_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    """One was compared, so the FMR is that of one."""
    boxes = {c.number: c.box for c in face_crops(TEAM, "any", "probe")}
    for which, number in (("largest", 1), ("2", 2)):
        enrol, ask = ["enroll", TEAM, "--out", tmp_path / "a.h"], ["verify", TEAM, "--model", model]
        x0, y0, x1, y1 = boxes[number]
        for words in (enrol, ask):
            assert command(*words, "--face", which) in (0, 1)
            out = capsys.readouterr().out
            assert out.startswith(f"{TEAM}, face {number} of 16, at {x0},{y0}–{x1},{y1}")
            assert "faces;" not in out
            assert command(*words, "--face", which, "--json") in (0, 1)
            told = json.loads(capsys.readouterr().out)
            told = told["people"][0]["photos"][0] if "people" in told else told
            assert (told["faces"], told["face"], told["box"]) == (16, number, list(boxes[number]))
            assert not {"compared", "fmr_of_best"} & set(told)


def test_text_of_verify_names_verdict_costs_and_hash(
    model: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    assert command("verify", STRANGER, "--model", model) == 1
    first, second, third, last = capsys.readouterr().out.splitlines()
    assert first == f"{STRANGER}: no match for yaoming"
    assert "threshold" in second
    assert "FMR" in second
    assert "RAM" in third
    assert "flash" in third
    assert last.startswith("  layers ")
    assert last.endswith(", the same on the oracle")


def test_bad_models_are_one_line(model: Path, tmp_path: Path, refused: Refused) -> None:
    def say(path: Path) -> str:
        return refused("verify", PORTRAIT, "--model", path)

    text = model.read_text()
    edited, foreign = tmp_path / "edited.h", tmp_path / "foreign.h"
    digits = text.rindex("threshold */") - 12
    edited.write_text(text[:digits] + text[digits:].replace("1", "2", 1))
    assert say(edited).startswith(f"{edited}: corrupted, cut or edited; expected SHA-256 ")
    edited.write_text(text[:-100])
    assert say(edited).startswith(f"{edited}: corrupted, cut or edited; expected SHA-256 ")
    foreign.write_text("#include <stdio.h>\n")
    assert say(foreign).startswith(f"{foreign}: not a hyper-mcu header; expected a first line ")
    assert say(tmp_path / "none.h") == (
        f"{tmp_path}/none.h: cannot be read; "
        "expected a model.h or person.bin of hyper-mcu enroll, got no such file or directory"
    )


def test_unknown_target_is_one_line(model: Path, refused: Refused) -> None:
    said = refused("verify", PORTRAIT, "--model", model, "--target", "z80")
    assert said == "target: unknown; expected one of host, m0, m3, m4, m7, m33, m55, rv32imc, lx106, got z80"


def test_missing_compiler_is_named_with_its_install_line(
    model: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    from hyper_mcu.codegen import toolchain

    toolchain._zig.cache_clear()
    try:
        said = refused("verify", PORTRAIT, "--model", model, "--target", "m4")
    finally:
        toolchain._zig.cache_clear()
    assert said == (
        "m4: no compiler found; expected arm-none-eabi-gcc on PATH (Debian: gcc-arm-none-eabi) or "
        f"{install.extra('emulate')}, got neither"
    )


def test_a_fault_of_the_program_is_an_error_and_never_a_match(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("hyper_mcu.codegen.oracle.run", fault)
    assert command("verify", PORTRAIT, "--model", model) == 2
    assert "RuntimeError: a fault" in capsys.readouterr().err
