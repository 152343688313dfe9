"""`hyper-mcu train` and `eval`: mistakes in the options are one line each, and nothing is written."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from hyper_mcu import cli, hypertrain
from hyper_mcu.cli.train import override
from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.presets import preset
from hyper_mcu.faces.weights import sha256_of
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import export
from hyper_mcu.hypertrain.data import BACKBONE
from hyper_mcu.hypertrain.distill import Config
from hyper_mcu.hypertrain.hgen import HGen, Shape

KEYS = ", ".join(f"trunk.{k}" for k in vars(Config()))


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The one line on stderr of a refused call in an empty folder that stays empty."""

    def call(*words: object) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["hyper-mcu", *(str(w) for w in words)])
        with pytest.raises(SystemExit) as e:
            cli.main()
        said = capsys.readouterr()
        assert (e.value.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert list(tmp_path.iterdir()) == []
        return said.err.rstrip("\n")

    return call


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--set", "tail.a=1"), "--set: unknown stage in tail.a=1; expected trunk.…, personal.… or shape.…, got tail"),
        (("--set", "trunk.step=1"), f"--set: unknown key trunk.step; expected {KEYS}, got step"),
        (("--set", "trunk"), f"--set: unknown key trunk; expected {KEYS}, got nothing"),
        (("--set", "trunk.steps=1.5"), "--set: trunk.steps; expected int, got 1.5"),
        (("--set", "personal.lr=fast"), "--set: personal.lr; expected float, got fast"),
        (("--set", "personal.steps=-1"), "personal.steps: out of range; expected at least 0, got -1"),
        (("--set", "trunk.partner=2"), "trunk.partner: out of range; expected a share of 0…1, got 2.0"),
        (("--set", "shape.dimension=100"), "shape.dimension: not the backbone's; expected 512, got 100"),
        (("--set", "trunk.lr=nan"), "trunk.lr: out of range; expected at least 0, got nan"),
        (("--set", "shape.rank=-2"), "shape.rank: out of range; expected at least -1, got -2"),
        (
            ("--from", "trunk.pt", "--set", "trunk.steps=9"),
            "--from: leaves stage 1 out; expected neither --warm nor --set trunk.…, got one of them",
        ),
        (("--netspec", "huge"), "netspec: no preset huge; expected paper@1 or nano@1, got huge"),
        ((), "faces/train.csv: not a data set; expected the table of a data set, got no such file"),
    ],
)  # fmt: skip
def test_mistakes_in_a_call_of_train(refused, words: tuple[str, ...], text: str) -> None:
    assert refused("train", "--data", "faces", "--out", "run", *words) == text


def test_training_goes_on_from_a_generator_that_fits_alone(refused, tmp_path_factory) -> None:
    paper, nano = preset("paper"), preset("nano")
    start = ("train", "--data", "faces", "--out", "run", "--from", SHIPPED)
    assert refused(*start, "--netspec", "nano") == (
        f"{SHIPPED}: generator of another NetSpec; expected nano@1 {nano.sha256[:16]}, got paper@1 {paper.sha256[:16]}"
    )
    other = tmp_path_factory.mktemp("other") / "generator.onnx"
    shape = Shape(16, 16, 0, first=6)
    export.save(HGen(nano, shape), other, {"backbone_sha256": "ab" * 32})
    assert refused(*start[:-1], other, "--netspec", "nano") == (
        f"{other}: generator of another backbone; expected {sha256_of(BACKBONE)[:16]}, got {'ab' * 8}"
    )
    for setting, bad in (("width=64", {"width": 64}), ("first=9", {"first": 9})):
        assert refused(*start, "--set", f"shape.{setting}") == (
            f"--set: shape of a generator that is there already; expected {Shape(first=8)} or a lower first, "
            f"got {replace(Shape(first=8), **bad)}"
        )


@pytest.mark.parametrize("command", ["train", "eval"])
def test_missing_torch_is_named_with_its_install_line(refused, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.delitem(sys.modules, "hyper_mcu.hypertrain.evaluate", raising=False)
    monkeypatch.delattr(hypertrain, "evaluate", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    words = ("cfp", "--root", "x") if command == "eval" else ("--data", "x", "--out", "y")
    said = refused(command, *words)
    assert said.startswith(f"hyper-mcu {command}: needs torch")
    assert f"; expected {install.extra('train')}, got " in said


def test_settings_of_one_stage_leave_the_others_alone() -> None:
    settings = ("trunk.steps=7", "personal.steps=9", "trunk.lr=0.5", "trunk.steps=8")
    assert override(Config(), "trunk", settings) == replace(Config(), steps=8, lr=0.5)
    assert override(Config(), "shape", settings) == Config()


def test_settings_keep_their_types() -> None:
    assert type(override(Config(), "trunk", ("trunk.lr=1",)).lr) is float
    with pytest.raises(UserError, match=r"^--set: trunk.batch; expected int, got 2e2$"):
        override(Config(), "trunk", ("trunk.batch=2e2",))
