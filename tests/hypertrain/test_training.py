"""Both stages of training learn something on people made of a few numbers, and keep what they promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import DIMENSION, TOY
from toy_training import ABOUT, FIRST, RUN, SECOND, SHAPE, distilled, log, personal

from hyper_mcu.codegen.presets import preset
from hyper_mcu.hypertrain import distill, hyper, loop, start
from hyper_mcu.hypertrain.augment import plain
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.evaluate import calibrate
from hyper_mcu.hypertrain.finish import weights_of
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.personal import Personal, check
from hyper_mcu.hypertrain.qat import Quantiser


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def trained(trunk: distill.Trunk, people: Faces, out: Path) -> HGen:
    return personal(start.from_trunk(trunk, SHAPE), people, out)


def val_eer(hgen: HGen, people: Faces) -> float:
    return check(Personal(hgen), people, people.select("val"))


def test_distilled_trunk_tells_held_out_people_apart(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    val = people.select("val")
    untrained = distill.check(distill.Trunk(TOY, DIMENSION, 0), people, val)["val_eer"]
    longer = distilled(people, tmp_path, replace(FIRST, steps=40, warmup=5))
    found = [distill.check(t, people, val)["val_eer"] for t in (trunk, longer)]
    assert untrained > 0.4
    assert 0.2 < found[0] < 0.4
    assert found[1] < 0.2


def test_generator_begins_as_the_trunk(trunk: distill.Trunk, people: Faces) -> None:
    module = Personal(start.from_trunk(trunk, SHAPE))
    index = people.select("val")[:6]
    e = torch.from_numpy(people.enrolled()[index])
    x = plain(people.crops[index])
    with torch.no_grad():
        got = module.scores(module.nets(module.hgen.raw(e)), module.shared(x))
        want = trunk.enrol(e) @ trunk.look(x).T
    assert float((got - want).abs().max()) < 0.02  # the trunk's tail runs in bfloat16


def test_personal_training_lowers_the_error_on_held_out_people(trained: HGen, people: Faces, out: Path) -> None:
    rows = log(out / "log.jsonl")[1:]
    checked = {r["step"]: r["val_eer"] for r in rows}
    assert sorted(checked) == [0, 25, 50]
    assert min(checked.values()) < checked[0] - 0.05
    assert val_eer(trained, people) == min(checked.values())  # what comes back is the best of all checks


def test_trained_nets_are_personal(trained: HGen, people: Faces) -> None:
    e = torch.from_numpy(people.enrolled()[people.select("val")[[0, 5]]])
    with torch.no_grad():
        one, other = trained.raw(e)
    changed = (one != other).numpy()
    for t in TOY.tensors:
        stage = TOY.tensors.index(t) // 2
        assert changed[t.offset : t.offset + t.size].any() == (stage >= SHAPE.first), t.name


def test_shared_stages_stay_as_they_were(trained: HGen, trunk: distill.Trunk) -> None:
    personal = TOY.tensors[2 * SHAPE.first].offset
    assert torch.equal(trained.theta0[:personal], trunk.theta[:personal])
    assert not torch.equal(trained.theta0[personal : -TOY.head_size], trunk.theta[personal : -TOY.head_size])


def test_grown_generator_writes_the_same_nets_and_has_more_to_learn(trained: HGen, people: Faces) -> None:
    wider = start.grown(trained, replace(SHAPE, first=1))
    e = torch.from_numpy(people.enrolled()[:3])
    with torch.no_grad():
        assert torch.equal(wider(e), trained(e))
    wider(e).square().sum().backward()
    assert all(float(wider.up[str(s)].weight.grad.abs().sum()) > 0 for s in range(1, len(TOY.stages)))


def test_training_that_only_does_harm_returns_the_trunk(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    wild = replace(SECOND, steps=25, people=4, photos=2, nets=4, mixtures=4, warmup=1, lr=3.0)
    hgen = personal(start.from_trunk(trunk, SHAPE), people, tmp_path, wild)
    rows = log(tmp_path / "log.jsonl")[1:]
    assert rows[-1]["val_eer"] > rows[0]["val_eer"]
    want = start.from_trunk(trunk, SHAPE).state_dict()
    assert all(torch.equal(v, want[k]) for k, v in hgen.state_dict().items())


PAPER = replace(
    SECOND, nets=0, mixtures=0, noise=0.0, teacher=0.0, bce=1.0, own=True, norm="theta", clusters=3, cluster_start=10,
    people=4, photos=3, double_at=(0.5,), alpha_from=1e-7, alpha_to=1e-6, statistics=0.1, steps=100,
)  # fmt: skip


@pytest.mark.parametrize(
    ("norm", "lr"),
    [("train-statistics", 5e-3), ("weight-standardised", 2e-3), ("instance", 2e-3), ("pixel-channel", 1e-3)],
)
def test_a_nano_net_learns_from_scratch_by_the_papers_objective_alone(
    norm: str, lr: float, people: Faces, tmp_path: Path
) -> None:
    spec, run = replace(preset("nano"), norm=norm), replace(RUN, every=30, log=30)
    hgen = start.fresh(spec, replace(SHAPE, first=0, rank=-1, residual=False), 0)
    stage = hyper.Hyper(Personal(hgen), people, replace(PAPER, lr=lr), run)
    loop.train(stage, people, run, replace(ABOUT, spec=spec), tmp_path)
    checked = [r["val_eer"] for r in log(tmp_path / "log.jsonl")[1:]]
    assert checked[0] > 0.35
    assert min(checked) < checked[0] - 0.08


def test_quantised_training_learns_nets_and_scales(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    hgen = start.from_trunk(trunk, SHAPE)
    before = calibrate(TOY, weights_of(hgen), people, count=32)
    hgen.quantiser = Quantiser(TOY, before)
    c = replace(SECOND, qat=True)
    found = personal(hgen, people, tmp_path, c)
    checked = [r["val_eer"] for r in log(tmp_path / "log.jsonl")[1:]]
    assert min(checked) < checked[0] - 0.05
    moved = np.abs(np.log(found.quantiser.scales() / before))
    assert 1e-3 < moved.max() < 1


def test_scales_that_are_not_to_learn_stay_while_quantised_nets_do(
    trunk: distill.Trunk, people: Faces, tmp_path: Path
) -> None:
    hgen = start.from_trunk(trunk, SHAPE)
    hgen.quantiser = Quantiser(TOY, calibrate(TOY, weights_of(hgen), people, count=32)).requires_grad_(False)
    before = hgen.quantiser.scales()
    found = personal(hgen, people, tmp_path, replace(SECOND, qat=True))
    checked = [r["val_eer"] for r in log(tmp_path / "log.jsonl")[1:]]
    assert min(checked) < checked[0] - 0.05
    assert np.array_equal(found.quantiser.scales(), before)


def test_teachers_soft_targets_and_unlabelled_images_teach_without_names(
    trunk: distill.Trunk, people: Faces, tmp_path: Path
) -> None:
    c = replace(SECOND, bce=0.0, teacher=0.0, soft=1.0, unlabelled=8)
    personal(start.from_trunk(trunk, SHAPE), people, tmp_path, c)
    found = log(tmp_path / "log.jsonl")[1:]
    assert min(r["val_eer"] for r in found) < found[0]["val_eer"] - 0.05
    assert found[-1]["bce"] == 0


def test_contrast_of_some_pairs_teaches(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    c = replace(SECOND, bce=0.0, teacher=0.0, contrast=1.0, hard=8, random=8)
    personal(start.from_trunk(trunk, SHAPE), people, tmp_path, c)
    found = log(tmp_path / "log.jsonl")[1:]
    assert min(r["val_eer"] for r in found) < found[0]["val_eer"] - 0.05
