"""Table II: every row is trained, measured and kept; a second call finds what is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from small_sets import cfp, training_set

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import ablate, config, loop, pipeline
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


def run(seed: int, best: int = 100, **figures: float) -> ablate.Run:
    return ablate.Run(seed, figures, {"distill": 600, "hyper": best})


FOUND = {
    "full": [run(0, a=0.5, b=0.25), run(1, a=0.7), run(2, best=0, a=0.6)],
    "large": [run(0, a=0.1)],
    "direct": list[ablate.Run](),
}


def test_table_shows_mean_spread_and_seeds_and_what_was_not_run() -> None:
    lines = ablate.table(ablate.rows(base()), FOUND).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:5]]
    assert cells[0] == ["", "seeds", "a, %", "b, %"]
    assert set("".join(cells[1])) == {"-", ":"}, "what makes it a table of Markdown"
    assert cells[2] == ["Ours [1]", "3", "60.00 ± 10.00", "25.00 (1 of 3)"]
    assert cells[3] == ["Ours, larger model", "1", "10.00", "not run"], "of one seed there is no spread"
    assert cells[4] == ["Training f directly", "0", "not run", "not run"]
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[-1] == "[1] best at the first check, before any step: hyper of seed 2"


def test_summary_has_every_run_mean_and_spread() -> None:
    rows = ablate.summary(ablate.rows(base()), FOUND)["rows"]
    assert list(rows) == ["full", "large", "direct"]
    assert rows["full"]["runs"][2] == {"seed": 2, "figures": {"a": 0.6}, "best_step": {"distill": 600, "hyper": 0}}
    assert rows["full"]["mean"] == {"a": pytest.approx(0.6), "b": 0.25}
    assert rows["full"]["sd"] == {"a": pytest.approx(0.1), "b": None}
    assert (rows["large"]["title"], rows["large"]["overrides"]) == ("Ours, larger model", ("net.preset=large",))
    assert rows["direct"]["runs"] == []


WORDS = ("--rows", "direct,layers,no-kcs,full", "--json", "--seeds", "2")


@pytest.fixture
def words(tmp_path: Path) -> list[object]:
    training_set(tmp_path / "faces")
    cfp(tmp_path / "cfp")
    words = ["--data", tmp_path / "faces", "--out", tmp_path / "out", "--cache", tmp_path / "cache"]
    return [*words, "--eval", f"cfp-ff={tmp_path / 'cfp'}", *(w for s in SMALL for w in ("--set", s))]


def test_rows_are_trained_measured_and_not_trained_again(
    command: Callable[..., int], words: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command("ablate", *words, *WORDS) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["rows"]) == ["direct", "layers", "no-kcs", "full"]
    for name, row in told["rows"].items():
        assert [r["seed"] for r in row["runs"]] == [0, 1]
        for r in row["runs"]:
            kept = json.loads((out / name / str(r["seed"]) / "result.json").read_text())
            assert kept["figures"] == r["figures"]
            assert (sorted(r["figures"]), kept["config"]["run"]["seed"]) == (["cfp-ff", "val EER"], r["seed"])
            assert all(0 <= v <= 1 for v in r["figures"].values())
            assert list(r["best_step"]) == (["direct"] if name == "direct" else ["distill", "hyper"])
    assert (told["schema_version"], told["seeds"], told["data"]["images"], told["data"]["broken_images"]) == (
        1,
        2,
        21,
        0,
    )
    assert told["sets"]["cfp-ff"]["pairs"] == 20
    assert len(told["data"]["sha256"]) == len(told["sets"]["cfp-ff"]["crops_sha256"]) == 64
    assert json.loads((out / "table.json").read_text()) == told
    made = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert len(list((out / "trunks").iterdir())) == 2 * 2  # one a seed, and one that reads more layers
    assert not list(out.glob("*/*/distill"))
    (out / "table.md").unlink()
    assert command("ablate", *words, *WORDS) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == told["rows"]
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == made
    assert [line.split("|")[2].strip() for line in (out / "table.md").read_text().splitlines()[2:6]] == ["2"] * 4
    assert command("ablate", *words, *WORDS, "--set", "hyper.beta=1.5") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "hyper.beta: not as the run began; expected 1.0, got 1.5"


def test_best_steps_are_those_of_the_checkpoints(
    command: Callable[..., int], words: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("ablate", *words, "--rows", "full", "--seeds", "1", "--json") == 0
    best = json.loads(capsys.readouterr().out)["rows"]["full"]["runs"][0]["best_step"]
    for stage, log in (("distill", "trunks/*/log.jsonl"), ("hyper", "full/0/hyper/log.jsonl")):
        (path,) = (tmp_path / "out").glob(log)
        rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
        checks = [(r["val_eer"], r["step"]) for r in rows if "val_eer" in r]
        assert best[stage] == min(checks)[1]


def test_table_of_what_is_done_stays_where_a_run_fails(tmp_path: Path) -> None:
    b, out, told = base(), tmp_path / "out", list[ablate.Found]()
    chosen = {name: row for name, row in ablate.rows(b).items() if name in ("full", "large")}

    def measure(c: Config, folder: Path) -> dict[str, float]:
        if folder.parts[-2:] == ("large", "1"):
            raise UserError("hyper", "stopped at step 7", "to go on", "a signal")
        folder.mkdir(parents=True)
        return {"a": c.run.seed / 4}

    with pytest.raises(UserError, match="stopped at step 7"):
        ablate.run(b, chosen, 2, out, measure, told.append)
    assert [{name: len(runs) for name, runs in found.items()} for found in told] == [
        {"full": 1, "large": 0}, {"full": 1, "large": 1}, {"full": 2, "large": 1}
    ]  # fmt: skip
    assert [r.figures for r in told[-1]["full"]] == [{"a": 0.0}, {"a": 0.25}]
    told.clear()
    with pytest.raises(UserError, match="stopped at step 7"):
        ablate.run(b, chosen, 2, out, measure, told.append)
    assert [len(found["full"]) for found in told] == [2], "what is done is told before more is tried"


@pytest.mark.parametrize("content", ["{", "[]", '{"figures": {}}', '{"config": {}, "figures": {"a": "b"}}'])
def test_result_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "full" / "0" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    chosen = {"full": ablate.rows(base())["full"]}
    with pytest.raises(UserError, match=rf"^{path}: no result of a run; expected config and figures as JSON"):
        ablate.run(base(), chosen, 1, tmp_path, lambda c, folder: {}, lambda found: None)


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
        (("--eval", "lfw=x", "--eval", "lfw=y"), "--eval: lfw twice; expected each set once, got lfw=y"),
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
        ("run.ema=0.5", False),  # the average is what is kept
        ("run.seed=1", False),
    ],
)
def test_runs_share_a_trunk_where_nothing_that_makes_it_differs(override: str, alike: bool) -> None:
    assert (pipeline.trunk_key(base(override)) == pipeline.trunk_key(base())) == alike


def test_a_stopped_run_says_how_all_of_them_go_on(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise loop.StoppedError("hyper", "stopped by SIGTERM after step 7, saved")

    training_set(tmp_path / "faces")
    monkeypatch.setattr(pipeline, "run", stopped)
    sets = [w for s in SMALL for w in ("--set", s)]
    words = ["--data", tmp_path / "faces", "--out", tmp_path / "out", "--cache", tmp_path / "cache", *sets]
    assert command("ablate", *words, "--rows", "full") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "full, seed 0: hyper: stopped by SIGTERM after step 7, saved; call it again to go on"
