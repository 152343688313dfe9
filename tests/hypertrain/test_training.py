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

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Head
from hyper_mcu.codegen.presets import preset
from hyper_mcu.hypertrain import distill, hyper, loop, loss, start
from hyper_mcu.hypertrain.augment import plain
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.personal import Personal, check
from hyper_mcu.hypertrain.qat import Quantiser

SHAPE = Shape(DIMENSION, 32, 4, first=4)
FIRST = distill.Settings(steps=8, batch=40, warmup=2, lr=1e-2)
SECOND = hyper.Settings(steps=50, people=12, photos=3, nets=12, mixtures=12, warmup=5, lr=3e-3, bce=0.03)
RUN = loop.Run(every=25, log=25, device="cpu")
ABOUT = About(TOY, "ab" * 32, "")


@pytest.fixture(scope="module")
def people() -> Faces:
    return faces({"train": 20, "unlabelled": 4, "val": 8}, photos=5, side=112)


def distilled(people: Faces, out: Path, c: distill.Settings = FIRST) -> distill.Trunk:
    stage = distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, c, RUN)
    loop.train(stage, people, RUN, ABOUT, out)
    return stage.module


def personal(hgen: HGen, people: Faces, out: Path, c: hyper.Settings = SECOND, run: loop.Run = RUN) -> HGen:
    stage = hyper.Hyper(Personal(hgen), people, c, run)
    loop.train(stage, people, run, ABOUT, out)
    return stage.module.hgen


@pytest.fixture(scope="module")
def trunk(people: Faces, tmp_path_factory: pytest.TempPathFactory) -> distill.Trunk:
    """A trunk of few steps: better than chance, with much left to learn."""
    return distilled(people, tmp_path_factory.mktemp("trunk"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def trained(trunk: distill.Trunk, people: Faces, out: Path) -> HGen:
    return personal(start.from_trunk(trunk, SHAPE), people, out)


def log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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


def test_partners_are_photos_of_the_same_person(people: Faces) -> None:
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
    only = distill.Settings(**{"direct": 0.0, "relation": 0.0, "contrast": 0.0, "isometry": 0.0, part: 1.0})
    e = torch.nn.functional.normalize(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    teacher, isometric = e @ e.T, torch.eye(8, 6)
    best = distill.loss(only, teacher, teacher, isometric, torch.ones(12))
    assert [k for k, v in best.items() if abs(float(v)) > 1e-6] == []
    worse = distill.loss(only, 0.5 * teacher.flip(1), teacher, 1.5 * isometric, torch.ones(12))
    assert float(worse[part]) > float(best[part]) + 1e-3


def test_strangers_are_told_apart_from_what_is_probed(people: Faces) -> None:
    pairs, of_strangers = [], []
    for strangers in (0, 24):
        trunk = distill.Trunk(TOY, people.dimension, 0)
        stage = distill.Distill(trunk, people, replace(FIRST, strangers=strangers), RUN)
        rows = stage.rows(1)
        parts, count = stage.backward(1, rows, plain(people.crops[rows], TOY.height))
        pairs.append(count // len(rows) - len(rows))
        of_strangers.append(float(parts["contrast"].detach()))
    assert pairs == [0, 24]
    assert of_strangers[1] > of_strangers[0] + 0.01  # more that an image could be mistaken for


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


def test_chunks_of_nets_make_the_same_gradients(trunk: distill.Trunk, people: Faces) -> None:
    grads = []
    for chunk in (0, 5):
        c = replace(SECOND, chunk=chunk)
        stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, replace(RUN, amp=False))
        rows = stage.rows(1)
        parts, pairs = stage.backward(1, rows, plain(people.crops[rows]))
        assert pairs == (12 + 12) * len(rows)
        grads.append([p.grad for p in stage.module.parameters() if p.grad is not None] + [*parts.values()])
    assert len(grads[0]) == len(grads[1]) > 10
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_numbers_of_enrolled_embeddings_are_dropped(trunk: distill.Trunk, people: Faces) -> None:
    """And the teacher's cosines are those of what is left."""
    c = replace(SECOND, noise=0.0, dropout=0.25)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, RUN)
    rows = torch.from_numpy(stage.rows(1))
    work = stage._work(1, rows)
    assert float((work.enrolled == 0).float().mean()) == pytest.approx(0.25, abs=0.05)
    torch.testing.assert_close(work.enrolled.norm(dim=1), torch.ones(len(work.enrolled)))
    torch.testing.assert_close(work.teacher, work.enrolled @ torch.from_numpy(people.enrolled()[rows]).T)
    with pytest.raises(UserError, match=r"hyper\.dropout.*below 1"):
        replace(SECOND, dropout=1.0)


def test_embeddings_may_be_drawn_from_their_distribution(trunk: distill.Trunk, people: Faces) -> None:
    c = replace(SECOND, drawn=True, mixtures=4000, noise=0.0)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, RUN)
    rows = torch.from_numpy(stage.rows(1))
    work = stage._work(1, rows)
    drawn, known = work.enrolled[-4000:], torch.from_numpy(people.enrolled()[people.select("train")])
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(4000))
    alike = torch.corrcoef(torch.stack([torch.cov(x.T).ravel() for x in (drawn, known)]))[0, 1]
    assert alike > 0.95
    torch.testing.assert_close(work.teacher[-4000:], drawn @ torch.from_numpy(people.enrolled()[rows]).T)
    assert not bool(work.counted[-4000:].any())  # nobody's, so no label counts
    with pytest.raises(UserError, match=r"^hyper\.drawn: draws instead of mixtures; .*above 0, got 0"):
        replace(c, mixtures=0)


@pytest.mark.parametrize("wrong", [{"mixtures": 4}, {"noise": 0.1}, {"dropout": 0.1}, {"enrolled": "views"}])
def test_what_changes_embeddings_takes_no_further_layers(people: Faces, wrong: dict[str, float | str]) -> None:
    layered = replace(people, embeddings=np.concatenate([people.embeddings] * 2, 2))
    assert layered.dimension == DIMENSION
    plain = replace(SECOND, mixtures=0, noise=0.0)
    hyper.check_set(plain, layered, TOY)
    with pytest.raises(UserError, match=rf"^hyper\.{next(iter(wrong))}: only of plain embeddings; .*"):
        hyper.check_set(replace(plain, **wrong), layered, TOY)


def test_the_trunk_learns_with_the_nets_where_it_is_to(trunk: distill.Trunk, people: Faces) -> None:
    """Its gradient is that of one pass through everything."""
    c = replace(SECOND, trunk=True, chunk=5)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, replace(RUN, amp=False))
    rows, m = stage.rows(1), stage.module
    x = plain(people.crops[rows])
    stage.backward(1, rows, x)
    got = m.hgen.theta0.grad
    assert got is not None
    assert float(got[: TOY.tensors[2 * SHAPE.first].offset].abs().min()) > 0
    work = stage._work(1, torch.from_numpy(rows))
    raw = m.hgen.raw(work.enrolled)
    parts = stage._parts(work, slice(0, len(raw)), m.scores(m.nets(raw), m.shared(x, amp=False)))
    norm = 1e-5 * loss.norm_penalty(raw - m.hgen.base())
    (want,) = torch.autograd.grad(torch.stack([*parts.values(), norm]).sum(), m.hgen.theta0)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-6)


def test_a_trunk_that_cannot_learn_is_named(trunk: distill.Trunk, people: Faces) -> None:
    c = replace(SECOND, trunk=True)
    with pytest.raises(UserError, match=r"hyper.trunk: needs shared stages of real numbers; .* got hgen.first 0"):
        hyper.Hyper(Personal(start.from_trunk(trunk, replace(SHAPE, first=0))), people, c, RUN)


def test_quantised_training_learns_nets_and_scales(trunk: distill.Trunk, people: Faces, tmp_path: Path) -> None:
    from hyper_mcu.hypertrain.evaluate import calibrate
    from hyper_mcu.hypertrain.finish import weights_of

    hgen = start.from_trunk(trunk, SHAPE)
    before = calibrate(TOY, weights_of(hgen), people, count=32)
    hgen.quantiser = Quantiser(TOY, before)
    c = replace(SECOND, qat=True)
    found = personal(hgen, people, tmp_path, c)
    checked = [r["val_eer"] for r in log(tmp_path / "log.jsonl")[1:]]
    assert min(checked) < checked[0] - 0.05
    moved = np.abs(np.log(found.quantiser.scales() / before))
    assert 1e-3 < moved.max() < 1


def test_teachers_soft_targets_and_unlabelled_images_teach_without_names(
    trunk: distill.Trunk, people: Faces, tmp_path: Path
) -> None:
    c = replace(SECOND, bce=0.0, teacher=0.0, soft=1.0, unlabelled=8)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, RUN)
    rows = stage.rows(1)
    assert (people.identity[rows] == "").tolist() == [False] * 36 + [True] * 8
    personal(start.from_trunk(trunk, SHAPE), people, tmp_path, c)
    found = log(tmp_path / "log.jsonl")[1:]
    assert min(r["val_eer"] for r in found) < found[0]["val_eer"] - 0.05
    assert found[-1]["bce"] == 0


def test_contrast_of_some_pairs_teaches_and_leaves_out_a_net_s_own_photo(
    trunk: distill.Trunk, people: Faces, tmp_path: Path
) -> None:
    c = replace(SECOND, bce=0.0, teacher=0.0, contrast=1.0, hard=8, random=8)
    personal(start.from_trunk(trunk, SHAPE), people, tmp_path, c)
    found = log(tmp_path / "log.jsonl")[1:]
    assert min(r["val_eer"] for r in found) < found[0]["val_eer"] - 0.05
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, RUN)
    work = stage._work(1, torch.from_numpy(stage.rows(1)))
    assert bool(work.own.any())
    scores = torch.zeros_like(work.teacher, requires_grad=True)
    stage._parts(work, slice(0, None), scores)["contrast"].backward()
    assert scores.grad is not None
    assert float(scores.grad[work.own].abs().max()) < 1e-9 < float(scores.grad.abs().max())


def test_labelled_contrast_is_least_where_photos_of_one_person_have_a_cosine_of_one(
    trunk: distill.Trunk, people: Faces
) -> None:
    def contrast(labelled: bool) -> float:
        c = replace(SECOND, contrast=1.0, temperature=0.1, labelled=labelled)
        stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, RUN)
        work = stage._work(1, torch.from_numpy(stage.rows(1)))
        scores = work.teacher.masked_fill(work.same.bool(), 1.0)
        return float(stage._parts(work, slice(0, None), scores)["contrast"])

    assert contrast(True) < 1e-6
    assert contrast(False) > 1e-3


def test_contrast_both_ways_is_that_of_all_nets_whatever_the_chunk(trunk: distill.Trunk, people: Faces) -> None:
    c = replace(SECOND, bce=0.0, teacher=0.0, contrast=1.0, both_ways=True, labelled=True, temperature=0.2)
    exact = replace(RUN, amp=False)

    def gradients(chunk: int) -> tuple[torch.Tensor, float]:
        stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, replace(c, chunk=chunk), exact)
        rows = stage.rows(1)
        parts, _ = stage.backward(1, rows, plain(people.crops[rows], TOY.height))
        assert stage.module.hgen.linear is not None
        assert stage.module.hgen.linear.grad is not None
        return stage.module.hgen.linear.grad.clone(), float(parts["contrast"])

    one, value = gradients(1)
    many, same = gradients(64)
    assert value == pytest.approx(same, rel=1e-4)
    assert float((one - many).abs().max()) < 1e-4 * float(many.abs().max())
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, exact)
    m, rows = stage.module, stage.rows(1)
    work = stage._work(1, torch.from_numpy(rows))
    scores = m.scores(m.nets(m.hgen.raw(work.enrolled)), m.shared(plain(people.crops[rows], TOY.height), amp=False))
    target, others = work.teacher.masked_fill(work.same.bool(), 1.0), (~work.own).float()
    ways = ((scores, target, others), (scores.T, target.T, others.T))
    whole = torch.stack([loss.contrast(s, t, 0.2, o) for s, t, o in ways]).mean()
    whole.backward()
    assert float(whole) == pytest.approx(value, rel=1e-4)
    assert m.hgen.linear is not None
    assert m.hgen.linear.grad is not None
    assert float((one - m.hgen.linear.grad).abs().max()) < 1e-3 * float(one.abs().max())


def test_settings_that_do_not_go_together_are_refused(trunk: distill.Trunk, people: Faces) -> None:
    def said(**keys: object) -> str:
        with pytest.raises(UserError) as e:
            hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, replace(SECOND, **keys), RUN)
        return str(e.value)

    assert said(people=40) == "hyper.people: people of the largest batch; expected at most the 20 there are, got 40"
    assert said(nets=37) == "hyper.nets: more than images; expected at most 36, got 37"
    assert said(clusters=21) == "hyper.clusters: more than people; expected at most 20, the people to train on, got 21"
    assert said(photos=1) == (
        "hyper.photos: no net sees its person on another photo; expected 2 or more, or hyper.own, or hyper.bce 0, got 1"
    )


@pytest.mark.parametrize("term", ["teacher", "contrast"])
def test_terms_on_cosines_are_refused_where_a_score_is_none(people: Faces, term: str) -> None:
    c = replace(SECOND, **{"teacher": 0.0, "contrast": 0.0, term: 1.0})
    hyper.check_set(c, people, TOY)
    with pytest.raises(
        UserError, match=f"hyper.{term}: compares cosines; expected a CosDot head, or {term} 0, got dot"
    ):
        hyper.check_set(c, people, replace(TOY, head=Head("dot")))


def test_no_net_is_taught_its_own_photo_however_often_it_is_shown(trunk: distill.Trunk, people: Faces) -> None:
    few = np.flatnonzero(np.isin(people.identity, ["train-0", "train-1", "train-2"]))
    two = np.concatenate([few[people.identity[few] == f"train-{i}"][:2] for i in range(3)])
    index = np.concatenate([two, people.select("val")])  # two photos each, four are asked for
    small = Faces(*(v[index] for v in (people.crops, people.embeddings, people.identity, people.split, people.names)))
    c = replace(SECOND, people=3, photos=4, nets=0, mixtures=0, noise=0.0)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), small, c, RUN)
    rows = stage.rows(1)
    work = stage._work(1, torch.from_numpy(rows))
    own = torch.from_numpy(rows[:, None] == rows[None])
    assert own.sum() > len(rows)
    assert torch.equal(work.counted, ~own)
    assert (work.same.bool() & work.counted).any(1).all()


def test_statistics_of_a_trunk_are_followed_and_not_begun_again(trunk: distill.Trunk, people: Faces) -> None:
    c = replace(SECOND, statistics=1e-6)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, replace(RUN, amp=False))
    rows = stage.rows(1)
    stage.backward(1, rows, plain(people.crops[rows]))
    for name, v in trunk.stats.named_buffers():
        torch.testing.assert_close(stage.module.hgen.stats.get_buffer(name), v, rtol=1e-4, atol=1e-4)
