"""What one step of stage hyper computes, and the settings that it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import DIMENSION, TOY
from toy_training import RUN, SECOND, SHAPE

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Head
from hyper_mcu.hypertrain import distill, hyper, loss, start
from hyper_mcu.hypertrain.augment import plain
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.personal import Personal


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
    neither = replace(SECOND, mixtures=0, noise=0.0)
    hyper.check_set(neither, layered, TOY)
    with pytest.raises(UserError, match=rf"^hyper\.{next(iter(wrong))}: only of plain embeddings; .*"):
        hyper.check_set(replace(neither, **wrong), layered, TOY)


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


def test_images_of_nobody_known_are_shown_beside_those_of_people(trunk: distill.Trunk, people: Faces) -> None:
    c = replace(SECOND, unlabelled=8)
    stage = hyper.Hyper(Personal(start.from_trunk(trunk, SHAPE)), people, c, RUN)
    assert (people.identity[stage.rows(1)] == "").tolist() == [False] * 36 + [True] * 8


def test_contrast_of_some_pairs_leaves_out_a_net_s_own_photo(trunk: distill.Trunk, people: Faces) -> None:
    c = replace(SECOND, bce=0.0, teacher=0.0, contrast=1.0, hard=8, random=8)
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
    assert float(whole.detach()) == pytest.approx(value, rel=1e-4)
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
