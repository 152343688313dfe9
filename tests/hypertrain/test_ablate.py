"""Table II: every row is trained, measured and kept; a second call finds what is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from small_sets import cfp, training_set

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import ablate, config, pipeline
from hyper_mcu.hypertrain.config import Config

SMALL = (
    "net.preset=nano", "hgen.first=0", "hgen.width=16", "hgen.rank=2", "distill.steps=4", "distill.batch=8",
    "distill.warmup=1", "hyper.steps=3", "hyper.people=2", "hyper.beta=1.0", "hyper.photos=2", "hyper.nets=2",
    "hyper.warmup=1", "hyper.clusters=2", "hyper.cluster_start=1", "hyper.double_at=[]",
    "direct.warmup=1", "direct.batch=8",
)  # fmt: skip


def base(*overrides: str) -> Config:
    return config.read(config.find("ablation"), overrides)


def test_rows_are_those_of_table_2_and_differ_from_the_base_as_they_say() -> None:
    b = base()
    found = {name: config.changed(b, row.overrides) for name, row in ablate.rows(b).items()}
    assert list(found) == ["direct", "layers", "no-kcs", "no-norm", "full", "large"]
    assert found["full"] == b
    assert (found["direct"].distill.steps, found["direct"].hyper.steps) == (0, 0)
    assert found["direct"].direct.steps == b.distill.steps + b.hyper.steps
    assert (found["no-kcs"].hyper.clusters, b.hyper.clusters > 0) == (0, True)
    assert (found["no-norm"].hyper.alpha_to, b.hyper.alpha_to > 0) == (0.0, True)
    assert found["layers"].backbone.name == "mbf-w600k:stages"
    assert found["large"].net.preset == "large"


def test_a_base_without_a_part_cannot_lose_it() -> None:
    with pytest.raises(UserError, match=r"^hyper.clusters: nothing to leave out; expected above 0"):
        ablate.rows(base("hyper.clusters=0"))


def test_a_base_that_only_plain_embeddings_can_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"^hyper.mixtures: only of plain embeddings; .*, got 8 and 0$"):
        ablate.rows(base("hyper.mixtures=8"))


def test_table_shows_mean_and_spread_and_what_was_not_run() -> None:
    rows = ablate.rows(base())
    found = {"full": [{"a": 0.5, "b": 0.25}, {"a": 0.7}], "large": [{"a": 0.1}]}
    lines = ablate.table(rows, found).splitlines()
    assert lines[1].split() == ["Ours", "60.00", "±", f"{100 * np.std([0.5, 0.7], ddof=1):.2f}", "25.00"]
    assert lines[2].split() == ["Ours,", "larger", "model", "10.00", "not", "run"]


def test_rows_are_trained_measured_and_not_trained_again(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training_set(tmp_path / "faces")
    cfp(tmp_path / "cfp")
    sets = [w for s in SMALL for w in ("--set", s)]
    words = ["--data", tmp_path / "faces", "--out", tmp_path / "out", "--cache", tmp_path / "cache", *sets]
    words += ["--eval", f"cfp-ff={tmp_path / 'cfp'}", "--rows", "direct,layers,no-kcs,full", "--json"]
    assert command("ablate", *words, "--seeds", "2") == 0
    told = json.loads(capsys.readouterr().out)["rows"]
    assert list(told) == ["direct", "layers", "no-kcs", "full"]
    for name, runs in told.items():
        assert len(runs) == 2
        for seed, figures in enumerate(runs):
            kept = json.loads((tmp_path / "out" / name / str(seed) / "result.json").read_text())
            assert kept["figures"] == figures
            assert (sorted(figures), kept["config"]["run"]["seed"]) == (["cfp-ff", "val EER"], seed)
            assert all(0 <= v <= 1 for v in figures.values())
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")}
    assert len(list((tmp_path / "out" / "trunks").iterdir())) == 2 * 2  # one a seed, and one that reads more layers
    assert not list((tmp_path / "out").glob("*/*/distill"))
    assert command("ablate", *words, "--seeds", "2") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == told
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")} == made
    assert command("ablate", *words, "--seeds", "2", "--set", "hyper.beta=1.5") == 2
    assert capsys.readouterr().err == "hyper.beta: not as the run began; expected 1.0, got 1.5\n"


def test_what_no_row_could_use_is_said_before_the_first_is_trained(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training_set(tmp_path / "faces")
    sets = [w for s in SMALL for w in ("--set", s)]
    words = ["--data", tmp_path / "faces", "--out", tmp_path / "out", "--cache", tmp_path / "cache", *sets]
    assert command("ablate", *words, "--eval", f"cfp-ff={tmp_path / 'none'}") == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'none'}: no evaluation set; ")
    assert command("ablate", *words, "--set", "hyper.clusters=4") == 2
    assert capsys.readouterr().err.startswith("row layers: hyper.clusters: more than people; ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--rows", "full,kcs"), "--rows: unknown row; expected direct, layers, no-kcs, no-norm, full, large, got kcs"),
        (
            ("--eval", "cfp=x"),
            "--eval: unknown evaluation set; expected SET=ROOT with one of lfw, calfw, cplfw, cfp-ff, cfp-fp, agedb, "
            "vgg2-fp, got cfp=x",
        ),
    ],
)
def test_mistakes_are_one_line(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], text: str
) -> None:
    assert command("ablate", "--data", "x", "--out", tmp_path / "out", *words) == 2
    assert capsys.readouterr().err == text + "\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "alike"),
    [
        ("hyper.lr=1e-5", True),
        ("run.log=5", True),
        ("distill.lr=1e-5", False),
        ("run.every=7", False),  # the best of other checks
        ("run.amp=false", False),
        ("run.seed=1", False),
    ],
)
def test_runs_share_a_trunk_where_nothing_that_makes_it_differs(override: str, alike: bool) -> None:
    assert (pipeline.trunk_key(base(override)) == pipeline.trunk_key(base())) == alike
