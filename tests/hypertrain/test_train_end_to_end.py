"""A data set becomes a generator, the generator a header and figures, all through the command; nothing is stood in for.

Two steps teach a net nothing: what is checked is that every part takes what the one before it wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_model import missing
from small_sets import cfp, training_set

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from hyper_mcu import generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.netspec import cosdot_bits
from hyper_mcu.codegen.parse_header import parse
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.faces.weights import demo_photo, sha256_of
from hyper_mcu.hypertrain import data, metrics, protocols

SETTINGS = {
    "distill": {"steps": 2, "batch": 8, "warmup": 1},
    "hyper": {"steps": 2, "people": 2, "photos": 2, "beta": 1.0, "nets": 2, "mixtures": 2, "warmup": 1},
    "hgen": {"width": 8, "rank": 2, "first": 8},
}


def log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_data_set_becomes_a_generator_a_header_and_figures(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if why := missing("host"):
        pytest.skip(why)
    training_set(tmp_path / "faces")
    cfp(tmp_path / "cfp")
    out, cache = tmp_path / "run", tmp_path / "cache"
    made = out / "generator.onnx"

    words = [f"{stage}.{key}={value}" for stage, keys in SETTINGS.items() for key, value in keys.items()]
    sets = [w for word in words for w in ("--set", word)]
    assert command("train", "--data", tmp_path / "faces", "--out", out, "--cache", cache, *sets, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    g = generator.load(made)
    assert (told["generator"], told["threshold"]) == (str(made), g.threshold)
    assert (g.spec, g.backbone, g.backbone_sha256) == (preset("paper"), "mbf-w600k", sha256_of("mbf-w600k"))
    assert g.rates_on == "4 genuine and 6 impostor pairs of held-out people"
    for stage in ("distill", "hyper"):
        settings, *rows = log(out / stage / "log.jsonl")
        assert SETTINGS[stage].items() <= settings["config"][stage].items()
        assert rows[-1]["step"] == 2
        assert 0 <= rows[-1]["val_eer"] <= 1

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


def accuracy_by_the_oracle(g: generator.Generator, root: Path, cache: Path, kind: str) -> float:
    """Ten-fold accuracy of the pairs' logits, each from a net of its own through the integer oracle."""
    found = data.load(root, cache)
    pairs = protocols.cfp_pairs(root, found, kind)
    inner = data.central(np.asarray(found.crops))
    nets = {i: quantize(g.spec, g.weights(found.enrolled()[[i]])[0], g.scales) for i in set(pairs.enrol)}
    pictures = zip(pairs.enrol, pairs.probe, strict=True)
    logits = [oracle.run(nets[i], np.ascontiguousarray(inner[k])).logit for i, k in pictures]
    units = [nets[i].head.norm2 << cosdot_bits(g.spec.head_size) for i in pairs.enrol]
    scores = [np.sign(v) * np.sqrt(abs(v) / unit) for v, unit in zip(logits, units, strict=True)]  # cosines
    return metrics.ten_folds(np.array(scores), pairs.same, pairs.fold)[0]
