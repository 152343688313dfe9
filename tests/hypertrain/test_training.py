"""Both stages of training learn something on people made of a few numbers, and keep what they promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import DIMENSION, TOY, faces

from hyper_mcu.hypertrain import distill, train
from hyper_mcu.hypertrain.augment import to_input
from hyper_mcu.hypertrain.data import MARGIN, Faces
from hyper_mcu.hypertrain.hgen import Shape

SHAPE = Shape(DIMENSION, 32, 4, first=4)
FIRST = distill.Config(steps=8, batch=40, warmup=2, lr=1e-2)
SECOND = train.Config(steps=50, people=12, photos=3, nets=12, mixtures=12, warmup=5, lr=3e-3, every=25)


@pytest.fixture(scope="module")
def people() -> Faces:
    return faces({"train": 20, "unlabelled": 4, "val": 8}, photos=5, side=112)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def trunk(people: Faces, out: Path) -> distill.Trunk:
    """A trunk of few steps: better than chance, with much left to learn."""
    return distill.train(TOY, people, FIRST, out / "trunk")


@pytest.fixture(scope="module")
def trained(trunk: distill.Trunk, people: Faces, out: Path) -> train.HGen:
    return train.train(train.from_trunk(trunk, SHAPE), people, SECOND, out / "personal")


def log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_distilled_trunk_tells_held_out_people_apart(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    val = people.select("val")
    untrained = distill.check(distill.Trunk(TOY, DIMENSION, 0), people, val)["val_eer"]
    longer = distill.train(TOY, people, distill.Config(steps=40, batch=40, warmup=5, lr=1e-2), tmp_path)
    found = [distill.check(t, people, val)["val_eer"] for t in (trunk, longer)]
    assert untrained > 0.4
    assert 0.2 < found[0] < 0.4
    assert found[1] < 0.2


def test_distillation_logs_and_keeps_what_it_returns(trunk: distill.Trunk, people: Faces, out: Path) -> None:
    first, last = log(out / "trunk" / "log.jsonl")
    assert (first["spec"], first["spec_sha256"], first["steps"]) == (TOY.id, TOY.sha256, 8)
    assert last["step"] == 8
    assert last["val_eer"] == distill.check(trunk, people, people.select("val"))["val_eer"]
    kept = torch.load(out / "trunk" / "trunk.pt", weights_only=True)["state"]
    assert all(torch.equal(kept[k], v) for k, v in trunk.state_dict().items())
    assert sorted(p.name for p in (out / "trunk").iterdir()) == ["log.jsonl", "trunk.pt"]


def test_a_seed_gives_the_same_batches_without_replacement() -> None:
    c = distill.Config(steps=7, batch=4, seed=3)
    batches = np.concatenate(list(distill.orders(10, c)))
    assert len(batches) == 28
    assert sorted(batches[:10]) == sorted(batches[10:20]) == list(range(10))
    assert np.array_equal(batches, np.concatenate(list(distill.orders(10, c))))


def test_partners_are_other_photos_of_the_same_person(people: Faces) -> None:
    album, rows = distill.albums(people), np.arange(len(people.identity))
    rng = np.random.default_rng(0)
    assert np.array_equal(distill.partners(rows, album, 0.0, rng), rows)
    partner = distill.partners(rows, album, 1.0, rng)
    assert np.array_equal(people.identity[partner], people.identity)
    labelled = people.identity != ""
    assert np.array_equal(partner[~labelled], rows[~labelled])
    assert (partner != rows)[labelled].mean() > 0.6


@pytest.mark.parametrize("part", ["direct", "relation", "contrast", "isometry"])
def test_loss_of_a_student_equal_to_its_teacher_is_the_least(part: str) -> None:
    only = distill.Config(**{"direct": 0.0, "relation": 0.0, "contrast": 0.0, "isometry": 0.0, part: 1.0})
    e = torch.nn.functional.normalize(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    teacher, isometric = e @ e.T, torch.eye(8, 6)
    best, parts = distill.loss(only, teacher, teacher, isometric)
    assert float(best) == pytest.approx(parts[part])
    worse = distill.loss(only, 0.5 * teacher.flip(1), teacher, 1.5 * isometric)[0]
    assert float(worse) > float(best) + 1e-3
    if part != "contrast":  # a cross-entropy's least is the teacher's own entropy
        assert float(best) == pytest.approx(0, abs=1e-6)


def test_training_draws_distinct_people_with_their_own_photos(people: Faces) -> None:
    c = train.Config(steps=5, people=6, photos=7, seed=1)  # more photos than the five that a person has
    for rows in train.orders(people, c):
        groups = people.identity[rows].reshape(6, 7)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == 6
        assert set(people.split[rows]) == {"train"}


def test_generator_begins_as_the_trunk(trunk: distill.Trunk, people: Faces) -> None:
    hgen = train.from_trunk(trunk, SHAPE)
    index = people.select("val")[:6]
    e = torch.from_numpy(distill.enrol_embeddings(people)[index])
    x = to_input(people.crops[index][:, MARGIN:-MARGIN, MARGIN:-MARGIN])
    with torch.no_grad():
        got = train.scores(hgen, hgen(e), train.shared_features(hgen, x))
        want = trunk.enrol(e) @ trunk.look(x, False).T
    assert float((got - want).abs().max()) < 0.02  # the trunk's tail runs in bfloat16


def test_personal_training_lowers_the_error_on_held_out_people(trained: train.HGen, people: Faces, out: Path) -> None:
    rows = log(out / "personal" / "log.jsonl")
    start, checked = rows[0]["val_eer"], [r["val_eer"] for r in rows[1:]]
    assert [r["step"] for r in rows[1:]] == [25, 50]
    assert min(checked) < start - 0.05
    val = people.select("val")
    x = to_input(people.crops[val][:, MARGIN:-MARGIN, MARGIN:-MARGIN])
    again = train.check(trained, people, val, train.shared_features(trained, x))
    assert again == pytest.approx(min(checked), abs=0.01)  # what comes back is the best of all checks


def test_trained_nets_are_personal(trained: train.HGen, people: Faces) -> None:
    e = torch.from_numpy(distill.enrol_embeddings(people)[people.select("val")[[0, 5]]])
    with torch.no_grad():
        one, other = trained.raw(e)
    changed = (one != other).numpy()
    for t in TOY.tensors:
        stage = TOY.tensors.index(t) // 2
        assert changed[t.offset : t.offset + t.size].any() == (stage >= SHAPE.first), t.name


def test_grown_generator_writes_the_same_nets_and_has_more_to_learn(trained: train.HGen, people: Faces) -> None:
    wider = train.grown(trained, replace(SHAPE, first=1))
    e = torch.from_numpy(distill.enrol_embeddings(people)[:3])
    with torch.no_grad():
        assert torch.equal(wider(e), trained(e))
    wider(e).square().sum().backward()
    assert all(float(wider.up[str(s)].weight.grad.abs().sum()) > 0 for s in range(1, len(TOY.stages)))


def test_training_says_how_far_it_is(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    said: list[str] = []
    distill.train(TOY, people, FIRST, tmp_path, progress=said.append)
    eer = log(tmp_path / "log.jsonl")[-1]["val_eer"]
    assert said == [f"trunk: step 8 of 8, EER on held-out people {eer:.2%}, 0 min left"]


def test_training_that_only_does_harm_returns_the_trunk(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    wild = train.Config(steps=25, people=4, photos=2, nets=4, mixtures=4, warmup=1, lr=3.0, every=25)
    hgen = train.train(train.from_trunk(trunk, SHAPE), people, wild, tmp_path)
    rows = log(tmp_path / "log.jsonl")
    assert rows[-1]["val_eer"] > rows[0]["val_eer"]
    want = train.from_trunk(trunk, SHAPE).state_dict()
    assert all(torch.equal(v, want[k]) for k, v in hgen.state_dict().items())
