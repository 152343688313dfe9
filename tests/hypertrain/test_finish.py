"""From a trained h_gen to scores, scales, threshold and the file, on the smallest preset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import DIMENSION, faces

from hyper_mcu import generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.faces.weights import sha256_of
from hyper_mcu.hypertrain import augment, evaluate, export, finish, net
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.protocols import Pairs, val_pairs
from hyper_mcu.hypertrain.qat import Quantiser

NANO = preset("nano")


@pytest.fixture(scope="module")
def people() -> Faces:
    return faces({"train": 6, "val": 8}, photos=4, side=112)


def generator_of(seed: int) -> HGen:
    """An untrained h_gen whose nets differ from person to person."""
    torch.manual_seed(seed)
    hgen = HGen(NANO, Shape(DIMENSION, 16, 2))
    with torch.no_grad():
        hgen.theta0.copy_(net.he_init(NANO, torch.Generator().manual_seed(seed)))
        hgen.linear.copy_(torch.randn(hgen.linear.shape) * 0.5)
        for p in hgen.up.parameters():
            p.copy_(torch.randn(p.shape) * 0.1)
    return hgen


def test_scores_come_back_in_the_order_of_the_pairs(people: Faces) -> None:
    weights = finish.weights_of(generator_of(1))
    scales = evaluate.calibrate(NANO, weights, people, count=32)
    enrol, probe = np.array([9, 2, 9, 0, 2]), np.array([1, 5, 0, 7, 2])
    pairs = Pairs(enrol, probe, np.zeros(5, bool), np.arange(5))
    found = evaluate.score_pairs(NANO, weights, scales, people, pairs, batch=2)
    e = people.enrolled()
    for i, (a, b) in enumerate(zip(enrol, probe, strict=True)):
        theta, image = weights(e[[a]])[0], augment.images(people.crops[[b]], NANO.height)[0]
        assert found["float"][i] == pytest.approx(oracle.run_float(NANO, theta, image).score, abs=1e-4)
        qnet = quantize(NANO, theta, scales)
        logit = oracle.run(qnet, np.ascontiguousarray(image)).logit
        assert np.sign(found["int8"][i]) == np.sign(logit)
        assert abs(qnet.threshold(float(found["int8"][i])) - logit) <= 1
    assert set(evaluate.score_pairs(NANO, weights, None, people, pairs)) == {"float"}


def test_integers_score_close_to_the_real_numbers(people: Faces) -> None:
    weights, pairs = finish.weights_of(generator_of(2)), val_pairs(people, impostors=8)
    found = evaluate.score_pairs(NANO, weights, evaluate.calibrate(NANO, weights, people, count=64), people, pairs)
    assert found["float"].std() > 0.02
    assert np.corrcoef(found["float"], found["int8"])[0, 1] > 0.95
    assert np.abs(found["float"] - found["int8"]).mean() < 0.05


def test_scales_hold_the_peaks_and_adds_share_theirs(people: Faces) -> None:
    weights = finish.weights_of(generator_of(3))
    scales = evaluate.calibrate(NANO, weights, people, count=64, quantile=1.0)
    assert (scales.shape, scales.dtype) == ((len(NANO.stages),), np.float32)
    for s in NANO.stages:
        if isinstance(s.layer, Add):
            assert scales[s.index] == scales[s.index - 1] == scales[s.layer.of]
    theta = weights(people.enrolled()[people.select("train")[:1]])[0]
    image = augment.images(people.crops[people.select("train")[[5]]], NANO.height)[0]
    for m, scale, s in zip(oracle.run_float(NANO, theta, image).maps, scales, NANO.stages, strict=True):
        top = 127 if s.index == len(NANO.stages) - 1 else 255
        assert 0.02 * top < np.abs(m).max() / scale < 3 * top, s.index


def test_finished_file_says_what_was_measured(people: Faces, tmp_path: Path) -> None:
    pairs, hgen, path = val_pairs(people), generator_of(4), tmp_path / "generator.onnx"
    backbone = ("mbf-w600k", sha256_of("mbf-w600k"))
    measured = finish.finish(hgen, people, backbone, {"steps": 3}, path)
    g = generator.load(path)
    assert (g.spec, g.backbone, g.rates) == (NANO, "mbf-w600k", measured.rates)
    assert g.rates.on() == "24 genuine and 56 impostor pairs of 8 held-out people"
    e = people.enrolled()
    assert np.abs(g.weights(e) - finish.weights_of(hgen)(e)).max() < 1e-4
    scores = evaluate.score_pairs(NANO, g.weights, g.scales, people, pairs)["int8"]
    point = g.rates.at(0.25)
    moments = np.array([g.rates.strangers.moments(e[i]) for i in pairs.enrol])
    thresholds = moments[:, 0] + point.z * moments[:, 1]
    fmr, fnmr = (scores >= thresholds)[~pairs.same].mean(), (scores < thresholds)[pairs.same].mean()
    assert abs(fmr - point.fmr) <= 1 / 24  # ONNX and torch round θ apart by a last bit: one pair may fall the other way
    assert abs(fnmr - point.fnmr) <= 1 / 24
    assert 0 < point.fmr <= 0.25
    floats = evaluate.score_pairs(NANO, g.weights, None, people, pairs)["float"]
    assert abs(measured.eer_float - equal_error(floats[pairs.same], floats[~pairs.same]).eer) <= 1 / 24
    assert all(torch.equal(p, p.half().float()) for p in hgen.parameters())
    assert list(tmp_path.iterdir()) == [path]


def test_learned_scales_are_those_of_the_file(people: Faces, tmp_path: Path) -> None:
    few = val_pairs(people)
    hgen, path = generator_of(5), tmp_path / "generator.onnx"
    calibrated = evaluate.calibrate(NANO, finish.weights_of(hgen), people, count=64)
    hgen.quantiser = Quantiser(NANO, calibrated * np.float32(1.3))
    learned = hgen.quantiser.scales()
    measured = finish.finish(hgen, people, ("mbf-w600k", sha256_of("mbf-w600k")), {}, path)
    g = generator.load(path)
    assert np.array_equal(g.scales, learned)
    scores = evaluate.score_pairs(NANO, g.weights, learned, people, few)["int8"]
    assert abs(equal_error(scores[few.same], scores[~few.same]).eer - measured.eer_int8) <= 1 / 24
    again, meta = export.restore(path)
    assert meta["qat"] == "true"
    assert again.quantiser is not None
    assert np.allclose(again.quantiser.scales(), learned, rtol=1e-6)


def test_nets_that_normalise_at_run_time_are_refused_before_anything_is_measured(people: Faces, tmp_path: Path) -> None:
    hgen = HGen(replace(NANO, norm="instance"), Shape(DIMENSION, 16, 2))
    with pytest.raises(UserError, match="netspec nano@1: no generator for normalisation at run time; expected "):
        finish.finish(hgen, people, ("mbf-w600k", ""), {}, tmp_path / "generator.onnx")
    assert list(tmp_path.iterdir()) == []
