"""A sample of the soak, and that a difference ends it, or a failure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
import soak

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import Answers, Backend, Image
from hyper_mcu.codegen.backends.table import backends_named
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person


def backend(by: int) -> Backend:
    """The oracle, its logits moved by that much."""

    def ask(p: Person, images: Sequence[Image]) -> Answers:
        said = [oracle.run(p.qnet, x) for x in images]
        return Answers(tuple(replace(r, logit=r.logit ^ by) for r in said), "played")

    return Backend("played", "in process", True, ask)


def test_a_sample_of_the_soak(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--nets", "16", "--first", "7"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    ran = re.fullmatch(r"thousand 7: identical: (.+); \d+ s", line)
    assert ran
    fewer = {b.name for b in backends_named(soak.BACKENDS.split(",")) if b.place == "emulated"}  # one net of eight
    for row in ran[1].split(", "):
        name, _, n = row.rpartition(" ")
        assert row.endswith(" not run") or n == ("2" if name in fewer else "16")
    assert [name for name in soak.BACKENDS.split(",") if f"{name} " not in ran[1]] == []


def test_a_difference_ends_the_soak_and_tells_its_net(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "HOST", "")
    monkeypatch.setattr(soak, "HOST_COMPILERS", [])
    for by, code in ((0, 0), (1, 1)):
        monkeypatch.setattr(soak, "backends_named", lambda names, by=by: (backend(by),))
        assert soak.main(["--nets", "3000"] if by else ["--nets", "8"]) == code
    same, other = capsys.readouterr().out.splitlines()
    assert same.startswith("thousand 0: identical: played 8; ")
    assert other.startswith('thousand 0: DIFFERENT: played differs on {"channels":3,')


def test_a_backend_that_fails_ends_the_soak_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def ask(p: Person, images: Sequence[Image]) -> Answers:
        raise UserError("m99", "the program crashed", "exit code 0", "exit code 82")

    monkeypatch.setattr(soak, "HOST", "")
    monkeypatch.setattr(soak, "HOST_COMPILERS", [])
    monkeypatch.setattr(soak, "backends_named", lambda names: (Backend("m99", "emulated", True, ask),))
    assert soak.main(["--nets", "8", "--first", "3"]) == 2
    assert capfd.readouterr() == ("", "thousand 3: m99: the program crashed; expected exit code 0, got exit code 82\n")


def test_an_unknown_backend_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as e:
        soak.main(["--backends", "onnx,abacus"])
    assert e.value.code == 2
    assert "expected one of in-process, host, emulated, oracle, " in capsys.readouterr().err
