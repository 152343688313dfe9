"""What one step of stage distill computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import TOY
from toy_training import FIRST, RUN

from hyper_mcu.hypertrain import distill
from hyper_mcu.hypertrain.augment import plain
from hyper_mcu.hypertrain.data import Faces


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
