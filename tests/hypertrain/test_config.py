"""Settings: read, overridden, kept; every mistake is one line that names the key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Norm
from hyper_mcu.hypertrain import config
from hyper_mcu.hypertrain.config import Config


def said(path: Path | None, *overrides: str) -> str:
    with pytest.raises(UserError) as e:
        config.read(path, overrides)
    return str(e.value)


def test_overrides_go_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[hyper]\nbeta = 3\nlr = 1e-3\ndouble_at = [0.25, 0.5]\n[backbone]\nweights = "x.pth"\n')
    c = config.read(path, ["hyper.beta=4", "backbone.name=mbf-w600k:a,b", "data.root=some/folder", "run.amp=false"])
    d = Config()
    assert c.hyper == replace(d.hyper, beta=4.0, lr=1e-3, double_at=(0.25, 0.5))
    assert (c.backbone.name, c.backbone.weights) == ("mbf-w600k:a,b", "x.pth")
    assert (c.data.root, c.run.amp) == ("some/folder", False)
    assert c.distill == d.distill
    assert type(c.hyper.beta) is float


def test_config_survives_json() -> None:
    c = config.read(None, ["hyper.double_at=[0.5]", "hgen.layers=[64, 64]", "run.seed=7"])
    assert config.from_json(c.to_json()) == c
    assert config.from_json(c.to_json()) != Config()


@pytest.mark.parametrize("name", ["product", "paper", "tiny"])
def test_shipped_settings_are_valid(name: str) -> None:
    c = config.read(config.find(name))
    assert c.net.preset == "paper"
    assert c.hyper.steps > 0


def test_the_papers_settings_are_the_papers() -> None:
    h = config.read(config.find("paper")).hyper
    assert (h.optimiser, h.lr, h.weight_decay, h.warmup) == ("sgd", 1e-3, 1e-4, 3000)
    assert (h.clusters, h.cluster_start, h.beta, len(h.double_at)) == (150, 100_000, 2.0, 3)
    assert (h.nets, h.mixtures, h.noise, h.teacher, h.bce, h.norm, h.own) == (0, 0, 0.0, 0.0, 1.0, "theta", True)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("tail.a=1", f"--set: unknown section tail; expected {', '.join(vars(Config()))}, got tail"),
        ("trunk", "--set: not a setting; expected section.key=value, got trunk"),
        ("distill.steps=1.5", "--set: distill.steps; expected int, got 1.5"),
        ("distill.batch=2e2", "--set: distill.batch; expected int, got 200.0"),
        ("hyper.lr=fast", '--set: hyper.lr; expected float, got "fast"'),
        ("run.amp=1", "--set: run.amp; expected bool, got 1"),
        ('hyper.steps="3"', '--set: hyper.steps; expected int, got "3"'),
        ("hyper.steps=true", "--set: hyper.steps; expected int, got true"),
        ("distill.steps=100", "distill.warmup: longer than the run; expected below distill.steps 100, got 100"),
        ("direct.steps=50", "direct.warmup: longer than the run; expected below direct.steps 50, got 100"),
        ("hyper.steps=7", "hyper.warmup: longer than the run; expected below hyper.steps 7, got 100"),
        ("hyper.double_at=[0.5,\"x\"]", '--set: hyper.double_at; expected float, got "x"'),
        ("distill.partner=2", "distill.partner: out of range; expected a share of 0…1, got 2.0"),
        ("distill.lr=nan", "distill.lr: out of range; expected at least 0, got nan"),
        ("hyper.optimiser=lamb", "hyper.optimiser: unknown; expected adamw, sgd, got lamb"),
        ("net.norm=batch", f"net.norm: unknown; expected nothing, {', '.join(get_args(Norm))}, got batch"),
        (
            "direct.steps=500",
            "direct.steps: f is trained directly or by h; expected distill.steps and hyper.steps 0, got both",
        ),
        ("direct.optimiser=lamb", "direct.optimiser: unknown; expected adamw, sgd, got lamb"),
        ("direct.memory=1.5", "direct.memory: out of range; expected a share of 0…1, got 1.5"),
        ("hyper.hard=4", "hyper.random: random pairs of a net; expected at least 1, to stand for the rest, got 0"),
        ("hyper.balance=2", "hyper.balance: out of range; expected a share of 0…1, got 2.0"),
        ("run.ema=1", "run.ema: an average that stays where it began; expected below 1, got 1.0"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(override: str, text: str) -> None:
    assert said(None, override) == text


def test_people_are_drawn_by_sets_or_by_clusters() -> None:
    want = "hyper.balance: people are drawn by clusters; expected hyper.clusters 0, or balance 0, got 0.5"
    assert said(None, "hyper.balance=0.5", "hyper.clusters=3") == want


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("run.worker=2", "--set: unknown key run.worker; expected run.seed, run.every, "),
        ("run.device_name=cpu", "--set: unknown key run.device_name (did you mean run.device?); expected run.seed, "),
        (
            "distill.people=8",
            "--set: unknown key distill.people (did you mean hyper.people?); expected distill.steps, ",
        ),
        ("hypr.steps=8", "--set: unknown section hypr (did you mean hyper?); expected data, start, "),
    ],
)
def test_unknown_names_come_with_those_that_may_be_meant_and_those_there_are(override: str, text: str) -> None:
    assert said(None, override).startswith(text)


def test_several_mistakes_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        'seed = 3\nspeed = 3\n[distill]\nsteps = "3"\nwarm = 1\n[hyper]\nbeta = -1\n[net]\npreset = "nano"\n'
    )
    text = said(path)
    assert text.startswith(
        f"{path}: 5 mistakes: (1) key seed outside of a section; expected it under [run], got seed = 3 "
        "(2) key speed outside of a section; expected it under [data], [start], "
    )
    assert '(3) distill.steps; expected int, got "3" (4) unknown key distill.warm (did you mean ' in text
    assert text.partition("(5) ")[2].startswith("hyper.beta: ")
    assert "\n" not in text


def test_files_that_are_no_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("hyper.beta = [")
    assert said(path).startswith(f"{path}: not TOML; expected [section] and key = value lines, got ")
    path.write_text("hyper = 3")
    assert said(path) == f"{path}: section hyper; expected keys and values, got 3"
    path.write_bytes(b"\xff\xfe")
    assert said(path) == f"{path}: no settings; expected a TOML file, got not UTF-8"
    with pytest.raises(UserError) as e:
        config.find("nonesuch")
    there = "a TOML file or one of ablation, paper, product, tiny"
    assert str(e.value) == f"--config: no such settings; expected {there}, got nonesuch"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mbf-w600k", "mbf-w600k"),
        ("mbf-w600k:343,397", "mbf-w600k:343,397"),
        ("folder/my.onnx:/layer1/conv1,/layer2/conv1", "my.onnx:/layer1/conv1,/layer2/conv1"),
        ("folder/my.onnx", "my.onnx"),
    ],
)
def test_what_is_told_of_a_backbone_are_its_name_and_its_layers(name: str, text: str) -> None:
    c = config.read(None, [f'backbone.name="{name}"', 'data.root="some/where"'])
    assert c.told()["backbone"]["name"] == text
    assert c.told()["data"]["root"] == "where"
