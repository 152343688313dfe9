"""`hyper-mcu inspect` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from enrolled import Command


def test_inspect_tells_the_same_in_json(model: Path, capsys: pytest.CaptureFixture[str], command: Command) -> None:
    assert command("inspect", model, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["params"] == 23_176
    assert sum(r["macs"] for r in told["layers"]) + 980 == told["macs"] <= 5_400_000
    assert told["person_bytes"] <= 27_648
    assert command("inspect", model) == 0
    assert "5,275,732 MACs" in capsys.readouterr().out
