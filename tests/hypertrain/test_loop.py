"""The loop: stopped and gone on makes the same weights, two processes make those of one, and what it says is so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import DIMENSION, TOY, faces

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Event
from hyper_mcu.hypertrain import checkpoint, direct, distill, hyper, journal, loop, processes, start
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import Shape
from hyper_mcu.hypertrain.personal import Personal
from hyper_mcu.hypertrain.qat import Quantiser

RUN = loop.Run(every=3, log=1, device="cpu", amp=False)
ABOUT = About(TOY, "ab" * 32, "")
STEPS = 6
STAGES = ("distill", "hyper", "direct", "scratch", "quantised")
RUNS = {"averaged": replace(RUN, ema=0.5)}  # of a stage, else RUN


def stage(name: str, people: Faces, run: loop.Run = RUN) -> loop.Stage:
    """A small stage of that name, the same every time; scratch and quantised: stage hyper of other settings."""
    if name == "distill":
        c = distill.Settings(steps=STEPS, batch=12, warmup=2)
        return distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, c, run)
    if name == "direct":
        return direct.Direct(TOY, people, direct.Settings(steps=STEPS, batch=12, warmup=2, lr=0.02, scale=8.0), run)
    settings = hyper.Settings(
        steps=STEPS, people=2, photos=2, beta=1.0, double_at=(0.5,), nets=4, mixtures=4, warmup=2, chunk=3, clusters=2,
        cluster_start=2, lr=1e-3, hard=1, random=2, check_images=12, trunk=True,
    )  # fmt: skip
    if name == "scratch":
        settings = hyper.Settings(
            steps=STEPS, people=2, photos=2, beta=1.0, double_at=(0.5,), unbalanced=True, nets=0, mixtures=0, noise=0.0,
            warmup=2, bce=1.0, teacher=0.0, own=True, norm="theta", statistics=0.3, optimiser="sgd", lr=1e-4,
            check_images=12, contrast=1.0, both_ways=True, labelled=True,
        )  # fmt: skip
        hgen = start.fresh(TOY, Shape(DIMENSION, 16, -1, residual=False), 0)
        return hyper.Hyper(Personal(hgen), people, settings, run)
    hgen = start.from_trunk(distill.Trunk(TOY, DIMENSION, 0), Shape(DIMENSION, 16, 2, first=2))
    if name == "quantised":
        hgen.quantiser = Quantiser(TOY, np.full(len(TOY.stages), 0.03, np.float32))
        settings = replace(settings, qat=True, trunk=False, unlabelled=2, soft=1.0)
    return hyper.Hyper(Personal(hgen), people, settings, run)


@pytest.fixture(scope="module")
def people() -> Faces:
    return faces({"train": 8, "unlabelled": 2, "val": 4}, photos=3, side=112)


def last(out: Path) -> dict[str, torch.Tensor]:
    c = checkpoint.read(out / "last.safetensors")
    assert c.about.step == STEPS
    return c.module | c.optimiser | {f"average.{k}": v for k, v in c.average.items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", [*STAGES, *RUNS])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    name: str, number: int, people: Faces, tmp_path: Path
) -> None:
    name, run = ("hyper", RUNS[name]) if name in RUNS else (name, RUN)
    whole = stage(name, people)
    loop.train(whole, people, run, ABOUT, tmp_path / "whole")

    def stop(text: str, done: float) -> None:
        if text.startswith(f"{whole.name} 4/"):
            os.kill(os.getpid(), number)

    parts = tmp_path / "parts"
    said = rf"^{whole.name}: stopped by {signal.Signals(number).name} after step [45], saved$"
    with pytest.raises(loop.StoppedError, match=said):
        loop.train(stage(name, people), people, run, ABOUT, parts, watch=stop)
    step = checkpoint.read(parts / "last.safetensors").about.step
    assert step in (4, 5)
    again, told = stage(name, people), list[str]()
    loop.train(again, people, run, ABOUT, parts, resume=True, watch=lambda text, done: told.append(text))
    assert isinstance(told[0], Event)
    assert told[0] == f"{whole.name}: goes on after step {step} of {STEPS}"
    assert equal(last(parts), last(tmp_path / "whole"))
    assert equal(again.module.state_dict(), whole.module.state_dict())
    numbers = [[json.loads(x) for x in (p / "log.jsonl").read_text().splitlines()] for p in (parts, tmp_path / "whole")]
    rows = [[{k: v for k, v in r.items() if not k.endswith("second") and k != "seconds"} for r in n] for n in numbers]
    assert rows[0] == rows[1]


def test_what_is_checked_and_kept_is_the_average_of_the_weights(people: Faces, tmp_path: Path) -> None:
    class Noted(distill.Distill):
        """Notes its weights behind each step, and what is checked."""

        def __init__(self) -> None:
            c = distill.Settings(steps=STEPS, batch=12, warmup=2)
            super().__init__(distill.Trunk(TOY, DIMENSION, 0), people, c, RUN)
            self.behind, self.checked = [self.module.theta.detach().clone()], list[torch.Tensor]()

        def backward(self, step, rows, x):  # type: ignore[no-untyped-def]
            if step > 1:
                self.behind.append(self.module.theta.detach().clone())
            return super().backward(step, rows, x)

        def check(self) -> dict[str, float]:
            self.checked.append(self.module.theta.detach().clone())
            return {"val_eer": 1 - 0.1 * len(self.checked)}  # each is the best

    trained = Noted()
    loop.train(trained, people, replace(RUN, ema=0.3), ABOUT, tmp_path)
    c = checkpoint.read(tmp_path / "last.safetensors")
    want = trained.behind[0].clone()
    for step, theta in enumerate([*trained.behind[1:], c.module["theta"]], 1):
        decay = min(0.3, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * theta
        if step == 3:
            assert torch.allclose(trained.checked[1], want, atol=1e-6)
    assert torch.allclose(trained.checked[2], want, atol=1e-6)
    assert torch.equal(c.average["theta"], trained.checked[2])
    assert torch.equal(checkpoint.read(tmp_path / "best.safetensors").module["theta"], trained.checked[2])
    assert torch.equal(trained.module.theta, trained.checked[2])
    assert not torch.allclose(c.module["theta"], trained.checked[2], atol=1e-4)


def test_another_seed_makes_other_weights(people: Faces, tmp_path: Path) -> None:
    for seed in (0, 1):
        run = replace(RUN, seed=seed)
        loop.train(stage("distill", people, run), people, run, ABOUT, tmp_path / str(seed))
    assert not equal(last(tmp_path / "0"), last(tmp_path / "1"))


def test_what_comes_back_is_the_best_of_the_checks_and_said(people: Faces, tmp_path: Path) -> None:
    trained, said = stage("distill", people), list[str]()
    reached = loop.train(trained, people, RUN, ABOUT, tmp_path, watch=lambda text, done: said.append(text))
    rows = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text().splitlines()][1:]
    assert [r["step"] for r in rows] == list(range(STEPS + 1))
    checked = {r["step"]: r["val_eer"] for r in rows if "val_eer" in r}
    assert sorted(checked) == [0, 3, 6]
    best = checkpoint.read(tmp_path / "best.safetensors")
    assert best.about.best == min(checked.values()) == trained.check()["val_eer"]
    assert checked[best.about.step] == best.about.best
    assert reached == loop.Outcome("distill", STEPS, reached.seconds, best.about.step, best.about.best)
    assert rows[-1]["seconds"] - 0.1 <= reached.seconds <= rows[-1]["seconds"] + 60
    assert equal(best.module, trained.module.state_dict())
    assert said[-1].startswith(f"distill: best at step {best.about.step} of 6, EER {best.about.best:.2%}")
    assert said[-1].endswith("the steps did not help") == (best.about.step == 0)


def test_all_processes_keep_what_the_first_one_found_best(
    people: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one would save alone, and wait for the others."""
    said = iter([0.4, 0.2, 0.3, 0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(processes, "agreed", lambda own: np.full_like(own, next(said)))
    found = loop.train(stage("distill", people), people, replace(RUN, every=1), ABOUT, tmp_path)
    assert (found.best_step, found.check_eer) == (1, 0.2)
    assert checkpoint.read(tmp_path / "best.safetensors").about.step == 1


def test_tensorboard_has_the_numbers_of_the_log(people: Faces, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loop.train(stage("distill", people), people, RUN, ABOUT, tmp_path)
    rows = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text().splitlines()][1:]
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    shown = {e.step: e.value for e in board.Scalars("distill/relation")}
    assert shown == pytest.approx({r["step"]: r["relation"] for r in rows if "relation" in r}, rel=1e-5)
    assert len(shown) == STEPS
    assert {p.stat().st_mode & 0o777 for p in tmp_path.rglob("*") if p.is_file()} == {0o600}


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_state(people: Faces, tmp_path: Path) -> None:
    wild = replace(distill.Settings(), steps=STEPS, batch=12, lr=1e30, warmup=0)
    run = replace(RUN, every=1)
    with pytest.raises(UserError, match=r"^training: \w+; expected finite numbers; a lower learning rate, got "):
        loop.train(distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, wild, run), people, run, ABOUT, tmp_path)
    kept = checkpoint.read(tmp_path / "best.safetensors").module
    assert all(torch.isfinite(v).all() for v in kept.values())


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import torch
torch.set_num_threads(1)
from synthetic_faces import faces
import test_loop as t
from hyper_mcu.hypertrain import loop, processes
people = faces({"train": 8, "unlabelled": 2, "val": 4}, photos=3, side=112)
with processes.joined():
    for name in t.STAGES:
        loop.train(t.stage(name, people), people, t.RUN, t.ABOUT, Path(sys.argv[1]) / name)
"""


def test_two_processes_make_the_weights_of_one(people: Faces, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    here = str(Path(__file__).parent)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    where = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [*launch, str(script), str(tmp_path / "two"), here]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=where, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in STAGES:
        loop.train(stage(name, people), people, RUN, ABOUT, tmp_path / "one" / name)
        one, two = last(tmp_path / "one" / name), last(tmp_path / "two" / name)
        before = stage(name, people).module.state_dict()
        assert any(not torch.allclose(one[k], v, atol=1e-3) for k, v in before.items())
        # By the norm of their change: a rounding that turns a ReLU, or that Adam makes a whole step of, is seen soon.
        change, off = (torch.cat([(m[k] - one[k]).flatten() for k in before]) for m in (before, two))
        assert float(off.norm()) < 0.02 * float(change.norm()), name


def test_a_device_that_is_not_there_is_one_line() -> None:
    if torch.cuda.is_available():
        assert replace(RUN, device="cuda").on().type == "cuda"
        return
    with pytest.raises(UserError) as e:
        replace(RUN, device="cuda").on()
    assert str(e.value) == "run.device: no such device here; expected cpu, got cuda"


def test_a_signal_in_the_last_step_ends_the_run_too(people: Faces, tmp_path: Path) -> None:
    def stop(text: str, done: float) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(loop.StoppedError, match=rf"^distill: stopped by SIGTERM after step {STEPS}, saved$"):
        loop.train(stage("distill", people), people, RUN, ABOUT, tmp_path, watch=stop)
    assert last(tmp_path)


def test_a_state_that_is_no_number_is_never_saved(people: Faces, tmp_path: Path) -> None:
    run = replace(RUN, every=1, log=100)  # checks between the rows of the log
    spoilt = stage("distill", people, run)
    before = spoilt.backward

    def backward(step: int, rows: np.ndarray, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], int]:
        found = before(step, rows, x)
        if step == 3:
            spoilt.module.theta.grad[0] = torch.nan
        return found

    spoilt.backward = backward
    with pytest.raises(UserError, match=r"^training: theta; expected finite numbers; a lower learning rate, got nan$"):
        loop.train(spoilt, people, run, ABOUT, tmp_path)
    kept = checkpoint.read(tmp_path / "last.safetensors")
    assert kept.about.step == 2
    assert all(torch.isfinite(v).all() for v in kept.module.values())


def test_a_killed_run_goes_on_whatever_it_had_written_of_its_log(people: Faces, tmp_path: Path) -> None:
    loop.train(stage("distill", people), people, RUN, ABOUT, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        loop.train(stage("distill", people), people, RUN, ABOUT, tmp_path / "killed", watch=_killed_at(5))
    log = tmp_path / "killed" / "log.jsonl"
    log.write_text(log.read_text()[:-20])  # half a row of step 5; the last checkpoint is of step 3
    loop.train(stage("distill", people), people, RUN, ABOUT, tmp_path / "killed", resume=True)
    steps = [
        [json.loads(x)["step"] for x in p.read_text().splitlines()[1:]]
        for p in (log, log.parents[1] / "whole" / log.name)
    ]
    assert steps[0] == steps[1] == list(range(STEPS + 1))
    assert equal(last(tmp_path / "killed"), last(tmp_path / "whole"))


def _killed_at(step: int) -> journal.Watch:
    def watch(text: str, done: float) -> None:
        if text.startswith(f"distill {step}/"):
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize(("name", "unit"), [("distill", "pairs"), ("hyper", "pairs"), ("direct", "images")])
def test_the_speed_of_a_stage_is_told_by_what_its_steps_count(
    people: Faces, tmp_path: Path, name: str, unit: str
) -> None:
    said: list[str] = []
    loop.train(stage(name, people), people, RUN, ABOUT, tmp_path, watch=lambda text, done: said.append(text))
    rows = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text().splitlines()][1:]
    assert [key for key in rows[1] if key.endswith("_per_second")] == [f"{unit}_per_second"]
    assert any(f" {unit}/s" in text for text in said)


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    kept = journal.Journal(tmp_path, "distill", 3, {}, journal.unwatched)
    kept.path.unlink()
    kept.path.mkdir()
    with pytest.raises(UserError, match=r"log.jsonl: cannot write; expected space and permission, got is a directory$"):
        kept.row(1, val_eer=0.5)
    kept.close(0, 0.5)


def test_a_worse_state_does_not_replace_the_best_where_checks_move(people: Faces, tmp_path: Path) -> None:
    whole = stage("distill", people)
    loop.train(whole, people, RUN, ABOUT, tmp_path)
    least = checkpoint.read(tmp_path / "best.safetensors").about.best
    older = checkpoint.read(tmp_path / "last.safetensors").about
    checkpoint.save(tmp_path / "last.safetensors", stage("distill", people).module, replace(older, step=1, best=1.0))
    again = stage("distill", people)
    loop.train(again, people, replace(RUN, every=2), ABOUT, tmp_path, resume=True)
    assert checkpoint.read(tmp_path / "best.safetensors").about.best <= least
    assert again.check()["val_eer"] <= least
