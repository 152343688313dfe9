"""Views: made once, the same in every run, and what the backbone says of each is of that very picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import DIMENSION, TOY, Reader, faces

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import ARCFACE_TEMPLATE
from hyper_mcu.hypertrain import config, distill, hyper, loop, pipeline, start, views
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.data.faces import central
from hyper_mcu.hypertrain.hgen import Shape
from hyper_mcu.hypertrain.personal import Personal

C = views.Settings(each=2)


@pytest.fixture(scope="module")
def people() -> Faces:
    return faces({"train": 20, "unlabelled": 4, "val": 8}, photos=5, side=112)


def made(people: Faces, cache: Path, reader: Reader | None = None, c: views.Settings = C) -> views.Views:
    return views.stored(people, distill.taught(people), reader or Reader(), c, 0, cache)


def test_a_view_and_what_the_backbone_says_of_it_belong_together(people: Faces, tmp_path: Path) -> None:
    v = made(people, tmp_path)
    assert v.crops.shape == (240, 112, 112, 3)
    assert np.allclose(v.teacher, Reader().embed(v.crops), atol=2e-3)
    assert set(v.first) == set(distill.taught(people).tolist())
    blend = v.first != v.second
    assert 0.35 < blend.mean() < 0.65
    assert (v.weight[~blend] == 1).all()
    assert ((v.weight[blend] >= 0.5) & (v.weight[blend] <= 0.9)).all()


def test_views_are_made_once_and_go_on_where_they_were(people: Faces, tmp_path: Path) -> None:
    whole = made(people, tmp_path / "whole")

    class Ends(Reader):
        calls = 0

        def embed(self, crops: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().embed(crops)

    with pytest.raises(KeyboardInterrupt):
        made(people, tmp_path / "parts", Ends())
    resumed = made(people, tmp_path / "parts")
    assert np.array_equal(resumed.crops, whole.crops)
    assert np.array_equal(resumed.teacher, whole.teacher)
    nothing_left = Ends()
    made(people, tmp_path / "parts", nothing_left)
    assert nothing_left.calls == 0


def test_more_views_of_each_image_add_to_what_is_there(people: Faces, tmp_path: Path) -> None:
    whole = made(people, tmp_path / "whole", c=replace(C, each=5))
    few = made(people, tmp_path / "grown")
    seen: list[int] = []

    class Counts(Reader):
        def embed(self, crops: np.ndarray) -> np.ndarray:
            seen.append(len(crops))
            return super().embed(crops)

    more = made(people, tmp_path / "grown", Counts(), replace(C, each=5))
    assert sum(seen) == len(more.crops) - len(few.crops)
    fewer = made(people, tmp_path / "grown")
    for name in ("crops", "teacher", "first", "second", "weight"):
        found, begun = getattr(more, name), getattr(few, name)
        assert np.array_equal(found, getattr(whole, name)), name
        assert np.array_equal(found[: len(begun)], begun), name
        assert np.array_equal(getattr(fewer, name), begun), name


@pytest.mark.parametrize("gone", [".rgb", ".f16", ".count"])
def test_views_of_which_a_file_was_deleted_are_made_anew(people: Faces, tmp_path: Path, gone: str) -> None:
    before = np.array(made(people, tmp_path).crops)
    next(tmp_path.glob(f"views-*{gone}")).unlink()
    again = made(people, tmp_path)
    assert np.array_equal(again.crops, before)
    assert np.allclose(again.teacher, Reader().embed(again.crops), atol=2e-3)


def test_views_that_the_disk_has_no_room_for_are_not_begun(
    people: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 240 * (112 * 112 * 3 + 2 * DIMENSION)
    monkeypatch.setattr(views.shutil, "disk_usage", lambda folder: SimpleNamespace(free=size - 1))
    with pytest.raises(UserError, match=r"no room for the views.*views\.each.* GB free"):
        made(people, tmp_path)
    assert not list(tmp_path.glob("views-*.rgb"))
    monkeypatch.setattr(views.shutil, "disk_usage", lambda folder: SimpleNamespace(free=size))
    assert len(made(people, tmp_path).crops) == 240


def test_other_settings_are_other_views(people: Faces, tmp_path: Path) -> None:
    plain = made(people, tmp_path, c=replace(C, blended=0, turned=0, camera=0))
    assert (plain.first == plain.second).all()
    assert not np.array_equal(plain.crops, made(people, tmp_path).crops)


def test_a_face_that_is_not_turned_stays_as_it_is(people: Faces) -> None:
    crop = people.crops[0]
    assert np.abs(central(views.turned(crop, 0.0)).astype(int) - central(crop)).mean() < 1


@pytest.mark.parametrize("yaw", [0.2, 0.5, 0.9])
def test_turning_left_is_turning_right_in_a_mirror(people: Faces, yaw: float) -> None:
    even = people.crops[3]
    even = ((even.astype(int) + even[:, ::-1]) // 2).astype(np.uint8)  # so that only the turn differs
    left, right = views.turned(even, yaw), views.turned(even, -yaw)[:, ::-1]
    assert np.abs(central(left).astype(int) - central(right)).mean() < 6
    assert np.abs(central(left).astype(int) - central(even)).mean() > 6


def test_a_turned_face_is_aligned_by_its_landmarks() -> None:
    crop = np.zeros((128, 128, 3), np.uint8)
    for x, y in ARCFACE_TEMPLATE:
        crop[round(y) + 6 : round(y) + 11, round(x) + 6 : round(x) + 11] = 255
    seen = views.turned(crop, 0.3)[..., 0] > 60
    y, x = np.nonzero(seen)
    want = np.mean(ARCFACE_TEMPLATE, 0) + 8
    assert abs(x.mean() - want[0]) < 3
    assert abs(y.mean() - want[1]) < 3


def test_a_camera_without_defects_shows_what_is_there(people: Faces) -> None:
    crop = np.ascontiguousarray(central(people.crops)[0])
    assert np.array_equal(views.through_camera(crop, 0.0, np.random.default_rng(0)), crop)
    bad = [views.through_camera(crop, 1.0, np.random.default_rng(k)) for k in range(40)]
    assert all(b.shape == crop.shape and b.dtype == np.uint8 for b in bad)
    assert sum(np.array_equal(b, crop) for b in bad) < 8


@pytest.mark.parametrize("weight", [0.5, 0.7, 0.9])
def test_a_blend_of_parts_is_one_person_here_and_the_other_there(weight: float) -> None:
    one, other = np.full((120, 120, 3), 200, np.uint8), np.full((120, 120, 3), 100, np.uint8)
    made = [views.parts_of(one, other, weight, np.random.default_rng(k)) for k in range(20)]
    share = np.mean([(m.astype(float) - 100).mean() / 100 for m in made])
    assert abs(share - weight) < 0.05
    pure = np.mean([(m > 190) | (m < 110) for m in made])
    assert pure > 0.6  # nowhere in an even blend
    assert not np.array_equal(made[0], made[1])


def test_parts_are_of_blends_alone(people: Faces, tmp_path: Path) -> None:
    plain = replace(C, blended=0)
    assert np.array_equal(
        made(people, tmp_path / "a", c=plain).crops, made(people, tmp_path / "b", c=replace(plain, parts=1)).crops
    )
    assert not np.array_equal(
        made(people, tmp_path / "c").crops, made(people, tmp_path / "d", c=replace(C, parts=1)).crops
    )


@pytest.mark.parametrize("wrong", [{"each": -1}, {"blended": 1.5}, {"camera": -0.1}, {"yaw": -1.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        views.Settings(**wrong)


def test_every_image_has_its_views_by_chance(people: Faces, tmp_path: Path) -> None:
    v, images = made(people, tmp_path), np.repeat(distill.taught(people), 20)
    drawn = v.of(images, np.random.default_rng(0))
    assert np.array_equal(v.first[drawn], images)
    assert len(set(drawn.tolist())) == len(v.first)


NETS = hyper.Settings(people=10, photos=3, nets=8, mixtures=4, unlabelled=5, noise=0.0, bce=0.0)


def of_views(people: Faces, shown: views.Views | None, c: hyper.Settings) -> hyper.Hyper:
    module = Personal(start.from_trunk(distill.Trunk(TOY, DIMENSION, 0), Shape(DIMENSION, 32, 4, first=4)))
    return hyper.Hyper(module, people, c, loop.Run(device="cpu", amp=False), shown)


def test_nets_are_taught_what_the_backbone_says_of_views(people: Faces, tmp_path: Path) -> None:
    shown = made(people, tmp_path)
    stage = of_views(people, shown, NETS)
    rows = stage.rows(3)
    work = stage._work(3, torch.from_numpy(rows))
    assert torch.allclose(work.teacher, work.enrolled @ torch.from_numpy(shown.teacher[rows]).float().T, atol=1e-6)
    blend = shown.first[rows] != shown.second[rows]
    assert blend.any()
    assert not work.same[:, blend].any()
    assert work.same[:8, ~blend].any()


def test_views_may_be_enrolled_too(people: Faces, tmp_path: Path) -> None:
    shown = made(people, tmp_path)
    stage = of_views(people, shown, replace(NETS, enrolled="views"))
    rows = stage.rows(3)
    work = stage._work(3, torch.from_numpy(rows))
    said = torch.from_numpy(shown.teacher[rows]).float()
    at = (work.enrolled[:8] @ said.T).argmax(1).numpy()  # what each net is of, and sees as its own photo
    assert torch.allclose(work.enrolled[:8], said[at], atol=1e-6)
    assert work.own[range(8), at].all()
    blend = (shown.first[rows] != shown.second[rows])[at]
    assert 0 < blend.sum() < 8
    assert not work.same[:8][blend].any()
    assert work.same[:8][~blend].any(1).all()
    with pytest.raises(UserError, match=r"hyper\.enrolled.*views\.each"):
        of_views(people, None, replace(NETS, enrolled="views"))


def test_nets_may_be_asked_about_photos_where_the_trunk_has_learned_from_views(people: Faces, tmp_path: Path) -> None:
    shown, c = made(people, tmp_path), replace(NETS, probed="photos")
    stage, without = of_views(people, shown, c), of_views(people, None, NETS)
    assert stage.shown(3) == (people.crops, False)
    assert np.array_equal(stage.rows(3), without.rows(3))
    with pytest.raises(UserError, match=r"hyper\.enrolled.*hyper\.probed"):
        of_views(people, shown, replace(c, enrolled="views"))


@pytest.mark.parametrize(
    ("sets", "made"),
    [
        ([], True),
        (["views.each=0"], False),
        (["hyper.probed=photos"], True),
        (["hyper.probed=photos", "start.trunk=t"], False),
        (["hyper.probed=photos", "start.generator=g"], False),
        (["hyper.probed=photos", "start.warm=t"], True),
        (["start.trunk=t"], True),
        (["start.trunk=t", "hyper.steps=0"], False),
        (["distill.steps=0"], True),
        (["distill.photos=0.5", "hyper.probed=photos"], True),
        (["distill.photos=1", "hyper.probed=photos"], False),
        (["distill.steps=0", "hyper.probed=photos"], False),
    ],
)
def test_views_that_no_stage_looks_at_are_not_made(sets: list[str], made: bool) -> None:
    assert pipeline.wants_views(config.read(None, ["views.each=2", *sets])) == made


def test_some_steps_look_at_photos_all_the_same(people: Faces, tmp_path: Path) -> None:
    shown, run = made(people, tmp_path), loop.Run(device="cpu")
    c = distill.Settings(steps=40, warmup=4, batch=40, photos=0.3)
    stage = distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, c, run, shown)
    seen: dict[bool, int] = {True: 0, False: 0}
    for step in range(1, 201):
        crops, views_made = stage.shown(step)
        assert crops is (shown.crops if views_made else people.crops)
        seen[views_made] += 1
        rows = stage.rows(step)
        assert set(rows) <= set(range(len(shown.crops)) if views_made else distill.taught(people).tolist())
        _, probed, blend = stage._said(stage._seen(step), rows, np.random.default_rng(0))
        assert torch.equal(
            probed, torch.from_numpy(shown.teacher[rows]).float() if views_made else stage._e[torch.from_numpy(rows)]
        )
        assert bool(blend.any()) == views_made
    assert 40 < seen[False] < 80
    every = distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, replace(c, photos=0.0), run, shown)
    assert all(every.shown(step)[1] for step in range(1, 201))


def test_a_trunk_learns_from_views(people: Faces, tmp_path: Path) -> None:
    c, run = distill.Settings(steps=40, batch=40, warmup=4, lr=1e-2), loop.Run(every=20, log=20, device="cpu")
    stage = distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, c, run, made(people, tmp_path))
    before = stage.check()["val_eer"]
    reached = loop.train(stage, people, run, About(TOY, "ab" * 32, ""), tmp_path / "out")
    assert reached.check_eer < before - 0.05
