"""The backbone dlib: its chip is made of our crop everywhere; its net runs where the package dlib is."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from hyper_mcu.faces.align import ARCFACE_TEMPLATE, align
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.faces.detect import detect
from hyper_mcu.faces.dlib_backbone import chip

# dlib's mean face (left eye, right eye, tip of the nose, corners of the mouth) in a chip of 150 with 1/4 around it
CHIP = ((47.5, 46.6), (100.5, 46.6), (74.0, 76.6), (50.4, 103.0), (97.6, 103.0))


@pytest.mark.parametrize(("seen", "wanted"), list(zip(ARCFACE_TEMPLATE, CHIP, strict=True)))
def test_landmarks_of_the_crop_lie_at_those_of_the_chip(seen: tuple[float, float], wanted: tuple[float, float]) -> None:
    rows, columns = np.mgrid[:112, :112]
    spot = 255 * np.exp(-((columns - seen[0]) ** 2 + (rows - seen[1]) ** 2) / 8)
    found = chip(np.repeat(spot[..., None].round().astype(np.uint8), 3, 2))[..., 0].astype(float)
    rows, columns = np.mgrid[:150, :150]
    at = np.array([(found * columns).sum(), (found * rows).sum()]) / found.sum()
    assert np.hypot(*(at - wanted)) < 4.5  # the two mean faces are not one another's similarity: 4 pixels at the mouth


def test_what_the_crop_does_not_show_of_the_chin_is_its_last_row() -> None:
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[-1] = 200
    assert (chip(crop)[-14:] == 200).all()


@pytest.mark.slow  # the packages are 105 MB: `pip install -e .[dlib]`
def test_dlib_knows_the_man_in_the_team_photo(yao: NDArray[np.uint8], players: NDArray[np.uint8]) -> None:
    assert importlib.util.find_spec("dlib"), "install the extra dlib"
    faces = [f for f in detect(players) if f.eye_distance >= 12]
    crops = np.stack([align(yao, detect(yao)[0].landmarks), *(align(players, f.landmarks) for f in faces)])
    b = backbone("dlib")
    e = b.embed(crops)
    assert e.shape == (len(crops), 128)
    assert np.abs(e[:2] - np.concatenate([b.embed(c[None]) for c in crops[:2]])).max() < 1e-5
    cosines = np.sort(e[1:] @ e[0])
    assert cosines[-1] > 0.9  # dlib's own threshold, a distance of 0.6 at lengths of about 1.4, is a cosine of 0.91
    assert cosines[-2] < cosines[-1]
