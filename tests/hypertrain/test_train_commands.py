"""`hyper-mcu train` and `eval`: mistakes in the options are one line each, and nothing is written."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from hyper_mcu import cli, hypertrain
from hyper_mcu.codegen import install
from hyper_mcu.codegen.presets import preset
from hyper_mcu.faces.backbone import DEFAULT
from hyper_mcu.faces.weights import sha256_of
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import config, export
from hyper_mcu.hypertrain.hgen import HGen, Shape


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
        (
            ("--config", "mine"),
            "--config: no such settings; expected a TOML file or one of ablation, paper, product, tiny, got mine",
        ),
        (("--set", "hyper.lr=fast"), '--set: hyper.lr; expected float, got "fast"'),
        (("--set", "hyper.steps=-1"), "hyper.steps: out of range; expected at least 0, got -1"),
        (("--set", "hgen.rank=-2"), "hgen.rank: out of range; expected at least -1, got -2"),
        (("--set", "hgen.first=11"), "hgen.first: first personal stage; expected at most 10, got 11"),
        (
            ("--set", "hgen.residual=false"),
            "hgen.residual: nothing shared, so no trunk; expected true, or 0 for these and nothing to begin with, "
            "got false with hgen.first, distill.steps",
        ),
        (
            ("--set", "hgen.residual=false", "--set", "hgen.first=0", "--set", "distill.steps=0", "--warm", "t"),
            "hgen.residual: nothing shared, so no trunk; expected true, or 0 for these and nothing to begin with, "
            "got false with start.warm",
        ),
        (("--device", "cuda"), "run.device: no such device here; expected cpu, got cuda"),
        (
            ("--from", "t", "--warm", "t"),
            "start.trunk: a run begins in one way; expected nothing beside start.warm, got trunk",
        ),
        (("--set", "net.preset=huge"), "netspec: no preset huge; expected paper@1 or large@1 or nano@1, got huge"),
        (
            ("--set", "backbone.name=arc"),
            "arc: unknown backbone; expected mbf-w600k, sface, dlib, an ONNX file, or with backbone.weights "
            "adaface-ir101 or face-transformer, got arc",
        ),
        (
            ("--from", "nofile.onnx"),
            "nofile.onnx: nothing to begin from; expected a checkpoint of stage distill or a generator.onnx, "
            "got no such file",
        ),
        (
            ("--warm", "none.safetensors"),
            "none.safetensors: nothing to begin from; expected a checkpoint of stage distill or a generator.onnx, "
            "got no such file",
        ),
        ((), "faces: no data set; expected a folder, got no such folder"),
    ],
)  # fmt: skip
def test_mistakes_in_a_call_of_train(refused, words: tuple[str, ...], text: str) -> None:
    assert refused("train", "--data", "faces", "--out", "run", *words) == text


def test_training_needs_a_set(refused) -> None:
    said = refused("train", "--out", "run")
    assert said == "hyper-mcu train: no training set; expected --data FOLDER or data.root, got nothing"
    said = refused("train", "--out", "run", "--resume")
    assert said == "run: no run to go on with; expected --data FOLDER, to begin one, got no config.json"


def test_training_goes_on_from_a_generator_that_fits_alone(refused, tmp_path_factory) -> None:
    paper, nano = preset("paper"), preset("nano")
    start = ("train", "--data", "faces", "--out", "run", "--from", SHIPPED)
    assert refused(*start, "--set", "net.preset=nano", "--set", "hgen.first=0") == (
        f"{SHIPPED}: generator of another NetSpec; expected nano@1 {nano.sha256[:16]}, got paper@1 {paper.sha256[:16]}"
    )
    other = tmp_path_factory.mktemp("other") / "generator.onnx"
    shape = Shape(16, 16, 0, first=6)
    export.save(HGen(nano, shape), other, {"backbone_sha256": "ab" * 32})
    assert refused(*start[:-1], other, "--set", "net.preset=nano", "--set", "hgen.first=0") == (
        f"{other}: generator of another backbone; expected {sha256_of(DEFAULT)[:16]}, got {'ab' * 8}"
    )
    for setting, bad in (("width=64", {"width": 64}), ("first=9", {"first": 9})):
        assert refused(*start, "--set", f"hgen.{setting}") == (
            f"hgen: shape of a generator that is there already; expected {Shape(first=8)} or a lower first, "
            f"got {replace(Shape(first=8), **bad)}"
        )


def test_a_run_is_neither_overwritten_nor_changed_underway(
    command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    began = config.read(config.find("product"), ["data.root=faces"])
    (tmp_path / "config.json").write_text(began.to_json())
    start = ("train", "--data", "faces", "--out", tmp_path)
    assert command(*start) == 2
    assert (
        capsys.readouterr().err
        == f"{tmp_path}: holds a run already; expected --resume, or another folder, got config.json\n"
    )
    assert command(*start, "--resume", "--set", "hyper.beta=3") == 2
    assert capsys.readouterr().err == "hyper.beta: not as the run began; expected 2.0, got 3.0\n"
    assert command(*start, "--resume", "--warm", "t.safetensors") == 2
    assert capsys.readouterr().err == "start.warm: not as the run began; expected nothing, got t.safetensors\n"
    assert command(*start, "--resume", "--set", "run.every=7") == 2
    assert capsys.readouterr().err.startswith("faces: no data set")


def test_what_is_not_given_to_a_run_that_goes_on_is_as_it_began(
    command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    began = config.read(config.find("paper"), ["data.root=faces", "hyper.beta=3", "run.device=cpu"])
    (tmp_path / "config.json").write_text(began.to_json())
    again = ("train", "--out", tmp_path, "--resume")
    assert command(*again) == 2
    assert capsys.readouterr().err == "faces: no data set; expected a folder, got no such folder\n"
    assert command(*again, "--show", "--set", "run.every=7", "--config", "paper", "--set", "hyper.beta=3") == 0
    shown = config.from_json(capsys.readouterr().out)
    assert shown == config.changed(began, ["run.every=7"])
    for words in (("--show", "--config", "product"), ("--config", "product")):
        assert command(*again, *words) == 2
        assert capsys.readouterr().err == "hgen.width: not as the run began; expected 1936, got 512\n"
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_settings_of_a_run_that_are_damaged_are_one_line(
    command, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    assert command("train", "--out", tmp_path, "--resume") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}/config.json: not the settings of a run; expected JSON as train writes it, got ")
    assert said.count("\n") == 1


def test_settings_in_force_are_shown(command, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command("train", "--out", tmp_path / "run", "--set", "hyper.beta=3", "--show") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["hyper"]["beta"], shown["hgen"]["first"]) == (3.0, 8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "eval"])
def test_missing_torch_is_named_with_its_install_line(refused, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.delitem(sys.modules, "hyper_mcu.hypertrain.evaluate", raising=False)
    monkeypatch.delattr(hypertrain, "evaluate", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    words = ("cfp", "--root", "x") if command == "eval" else ("--data", "x", "--out", "y")
    said = refused(command, *words)
    assert said.startswith(f"hyper-mcu {command}: needs torch")
    assert f"; expected {install.extra('train')}, got " in said
