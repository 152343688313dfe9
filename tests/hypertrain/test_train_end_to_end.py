"""A data set becomes a generator, the generator a header and figures, all through the command; nothing is stood in for.

Two steps teach a net nothing: what is checked is that every part takes what the one before it wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from fake_model import missing
from small_sets import cfp, training_set

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from hyper_mcu import cli, generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.netspec import cosdot_bits
from hyper_mcu.codegen.parse_header import parse
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.faces.weights import demo_photo, sha256_of
from hyper_mcu.hypertrain import data, export, metrics, protocols
from hyper_mcu.hypertrain.journal import Watch

SETTINGS = {
    "distill": {"steps": 2, "batch": 8, "warmup": 1},
    "hyper": {"steps": 2, "people": 2, "photos": 2, "beta": 1.0, "nets": 2, "mixtures": 2, "warmup": 1},
    "hgen": {"width": 8, "rank": 2, "first": 8},
}

SETS = [
    w for stage, keys in SETTINGS.items() for key, value in keys.items() for w in ("--set", f"{stage}.{key}={value}")
]


def log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_data_set_becomes_a_generator_a_header_and_figures(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if why := missing("host"):
        pytest.skip(why)
    training_set(tmp_path / "faces")
    with (tmp_path / "faces" / "train.csv").open("a") as table:
        table.write("a.tar,nowhere.jpg,p0,train\n")
    cfp(tmp_path / "cfp")
    out, cache = tmp_path / "run", tmp_path / "cache"
    made = out / "generator.onnx"

    assert command("train", "--data", tmp_path / "faces", "--out", out, "--cache", cache, *SETS, "--json") == 0
    said = capsys.readouterr()
    g, told, h = generator.load(made), json.loads(said.out), json.loads(said.out)["held_out"]
    assert (told["generator"], told["generator_sha256"], told["out"]) == (str(made), g.sha256, str(out))
    assert h == {**g.rates.told(), "eer_int8": h["eer_int8"], "eer_float": h["eer_float"]}
    assert (h["rates_on"], h["rates"]) == ("4 genuine and 2 impostor pairs of 2 held-out people", [])
    assert told["broken_images"] == 1
    assert said.err.splitlines()[0].startswith("1 broken images left out: see ")
    assert json.loads((out / "trained.json").read_text()) == told
    assert (g.spec, g.backbone, g.backbone_sha256) == (preset("paper"), "mbf-w600k", sha256_of("mbf-w600k"))
    for stage in ("distill", "hyper"):
        settings, *rows = log(out / stage / "log.jsonl")
        assert SETTINGS[stage].items() <= settings["config"][stage].items()
        assert rows[-1]["step"] == 2
        (reached,) = (s for s in told["stages"] if s["stage"] == stage)
        assert (reached["steps"], reached["check_eer"]) == (2, min(r["val_eer"] for r in rows if "val_eer" in r))
        assert {r["step"]: r.get("val_eer") for r in rows}[reached["best_step"]] == reached["check_eer"]

    header = tmp_path / "model.h"
    assert command("enroll", demo_photo("yaoming.jpg"), "--generator", made, "--out", header) == 0
    provenance = parse(header).person.provenance
    sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
    assert (provenance.generator, provenance.generator_sha256) == ("generator", sha256)
    assert provenance.backbone_sha256 == g.backbone_sha256

    capsys.readouterr()
    for kind in ("FF", "FP"):
        words = ["--root", tmp_path / "cfp", "--protocol", kind, "--generator", made, "--cache", cache, "--json"]
        assert command("eval", "cfp", *words) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["set"], told["protocol"], told["pairs"], told["generator_sha256"]) == ("cfp", kind, 20, sha256)
        assert told["int8"]["accuracy_mean"] == accuracy_by_the_oracle(g, tmp_path / "cfp", cache, kind)
        assert 0 <= told["float"]["accuracy_mean"] <= 1


def test_a_trunk_is_moulded_from_a_checkpoint_and_from_a_generator(command: Callable[..., int], tmp_path: Path) -> None:
    """Where no step follows, the generator has the moulded trunk: the linear head and the biases are the old ones."""
    training_set(tmp_path / "faces")
    words = ("train", "--data", tmp_path / "faces", "--cache", tmp_path / "cache", *SETS, "--set", "hyper.steps=0")
    assert command(*words, "--out", tmp_path / "old") == 0
    old = export.restore(tmp_path / "old" / "generator.onnx")[0]
    for i, path in enumerate((tmp_path / "old" / "distill" / "best.safetensors", tmp_path / "old" / "generator.onnx")):
        out = tmp_path / f"new{i}"
        assert command(*words, "--set", "distill.steps=0", "--set", f"start.mould={path}", "--out", out) == 0
        new = export.restore(out / "generator.onnx")[0]
        assert (new.linear == old.linear).all()
        for t in old.spec.tensors:
            if t.name.endswith(".bias"):
                mine = slice(t.offset, t.offset + t.size)
                assert (new.theta0[mine] == old.theta0[mine]).all(), t.name
        assert (new.theta0 != old.theta0).any()


def test_a_stopped_run_goes_on_with_its_own_settings_and_a_complete_one_is_left_alone(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training_set(tmp_path / "faces")
    out, cache = tmp_path / "a run", tmp_path / "cache"
    start = ("train", "--data", tmp_path / "faces", "--cache", cache, *SETS, "--set", "run.log=1", "--out")
    assert command(*start, tmp_path / "whole") == 0
    with monkeypatch.context() as m:
        m.setattr(cli, "bar", stopping_at("distill 1/2"))
        capsys.readouterr()
        assert command(*start, out) == 2
    again = ("train", "--out", out, "--resume", "--cache", cache)
    call = f"hyper-mcu train --out '{out}' --resume --cache {cache}"
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"distill: stopped by SIGTERM after step 1, saved; go on with: {call}\n")
    assert not (out / "trained.json").exists()

    assert command(*again) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[0] == "distill: goes on after step 1 of 2"
    made = out / "generator.onnx"
    assert made.read_bytes() == (tmp_path / "whole" / "generator.onnx").read_bytes()
    sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
    assert said.out.splitlines()[0] == f"{made}: SHA-256 {sha256}"
    few = "on 4 genuine and 2 impostor pairs of 2 held-out people: so few show no FMR of 10 % or less (rule of three)\n"
    assert few in said.out
    assert said.out.endswith("broken images left out: 0\n")

    shutil.rmtree(tmp_path / "faces")
    out.rename(tmp_path / "moved")
    assert command("train", "--out", tmp_path / "moved", "--resume") == 0
    complete = capsys.readouterr()
    assert complete.err == f"{tmp_path / 'moved'}: complete, nothing is left to do\n"
    assert complete.out == said.out.replace(str(out), str(tmp_path / "moved"))
    assert command("train", "--out", tmp_path / "moved", "--resume", "--set", "distill.steps=4") == 2
    assert capsys.readouterr().err == "distill.steps: not as the run began; expected 2, got 4\n"
    (tmp_path / "moved" / "generator.onnx").unlink()
    assert command("train", "--out", tmp_path / "moved", "--resume") == 2
    assert capsys.readouterr().err == f"{tmp_path / 'faces'}: no data set; expected a folder, got no such folder\n"


def test_the_first_of_two_processes_says_what_both_made(tmp_path: Path) -> None:
    training_set(tmp_path / "faces")
    out = tmp_path / "run"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = tmp_path / "program.py"
    program.write_text("from hyper_mcu.cli import main\nmain()\n")
    words = [program, "train", "--data", tmp_path / "faces", "--out", out, "--cache", tmp_path / "cache"]
    where = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(w) for w in (*launch, *words, *SETS)], capture_output=True, text=True, check=False, env=where, timeout=300
    )
    assert done.returncode == 0, done.stderr
    sha256 = hashlib.sha256((out / "generator.onnx").read_bytes()).hexdigest()
    assert json.loads((out / "trained.json").read_text())["generator_sha256"] == sha256
    assert done.stdout.count("SHA-256") == 1
    assert done.stdout.startswith(f"{out / 'generator.onnx'}: SHA-256 {sha256}\ndistill: 2 steps in ")


def stopping_at(text: str) -> Callable[..., AbstractContextManager[tuple[Progress, Watch]]]:
    """In the place of cli.bar: sends SIGTERM when that is shown."""

    @contextmanager
    def bar(wanted: bool) -> Iterator[tuple[Progress, Watch]]:
        yield silent, lambda shown, done: os.kill(os.getpid(), signal.SIGTERM) if shown.startswith(text) else None

    return bar


def accuracy_by_the_oracle(g: generator.Generator, root: Path, cache: Path, kind: str) -> float:
    """Ten-fold accuracy of the pairs' logits, each from a net of its own through the integer oracle."""
    chosen = protocols.load("cfp", root, cache, backbone(), protocol=kind)
    found, pairs = chosen.faces, chosen.pairs
    inner = data.central(np.asarray(found.crops))
    nets = {i: quantize(g.spec, g.weights(found.enrolled()[[i]])[0], g.scales) for i in set(pairs.enrol)}
    pictures = zip(pairs.enrol, pairs.probe, strict=True)
    logits = [oracle.run(nets[i], np.ascontiguousarray(inner[k])).logit for i, k in pictures]
    units = [nets[i].head.norm2 << cosdot_bits(g.spec.head_size) for i in pairs.enrol]
    scores = [np.sign(v) * np.sqrt(abs(v) / unit) for v, unit in zip(logits, units, strict=True)]  # cosines
    return metrics.ten_folds(np.array(scores), pairs.same, pairs.fold)[0]
