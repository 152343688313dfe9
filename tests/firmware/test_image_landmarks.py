"""hm_image's warps of landmarks and of guides are the twin's, and so is what makes no face."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from c_programs import HOST_COMPILERS
from image_calls import GUIDE, IDENTITY, INT32, LANDMARKS, Ask, expected_warp, landmark_sets

from hyper_mcu.device import image
from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST_COMPILERS, reason="no gcc or clang on PATH")

# One point; and a face of 1/16 pixel, smaller than a crop pixel can be.
NO_FACES = [[(5, 5)] * 5, [(0, 0), (1, 0), (0, 0), (0, 0), (0, 0)]]


def landmarks(n, seed):
    """Calls about n sets of landmarks in frames of any size, and what the twin makes of them."""
    rng = random.Random(seed)
    sets = [*landmark_sets(n, seed), *NO_FACES]
    sizes = [(rng.choice([1, 2, 240, 4096, rng.randint(1, 4096)]), rng.randint(1, 4096)) for _ in sets]
    asks = [Ask(LANDMARKS, b"", 0, w, h, 0, points=p) for (w, h), p in zip(sizes, sets, strict=True)]
    return asks, [expected_warp(image.warp_of_landmarks, w, h, p) for (w, h), p in zip(sizes, sets, strict=True)]


def rarest(wanted):
    """How often there is a face, or none: whichever is rarer."""
    codes = [code for code, _ in wanted]
    return min(codes.count(Code.OK), codes.count(Code.NO_FACE))


def test_warps_of_landmarks_are_the_twins(calls):
    asks, wanted = landmarks(2000, 1)
    assert calls.warps(asks) == wanted
    assert wanted[-2:] == [(Code.NO_FACE, IDENTITY)] * 2
    assert rarest(wanted) > 2000 // 50


@pytest.mark.slow
def test_warps_of_very_many_landmarks_are_the_twins(calls):
    for seed in range(10):
        asks, wanted = landmarks(20_000, seed)
        assert calls.warps(asks) == wanted
        assert wanted[-2:] == [(Code.NO_FACE, IDENTITY)] * 2
        assert rarest(wanted) > 20_000 // 50


def test_warps_of_guides_are_the_twins(calls):
    rng = random.Random(2)
    guides = [
        (rng.randint(-1000, 70_000), rng.randint(-1000, 70_000), rng.randint(1, 1 << rng.randint(1, 17)))
        for _ in range(500)
    ]
    ends = [0, 1, -1, 2**17, -(2**17), 2**17 + 1, -(2**17) - 1, *INT32]
    guides += [(x, y, eyes) for x in ends for y in (0, 2**17 + 1) for eyes in (8, 1600, 0, -1, *ends)]
    sizes = [(rng.randint(1, 4096), rng.choice([1, 240, 480, 4096])) for _ in guides]
    asks = [Ask(GUIDE, b"", 0, w, h, 0, guide=g) for (w, h), g in zip(sizes, guides, strict=True)]
    wanted = [
        expected_warp(image.warp_of_guide, w, h, (x, y), eyes)
        for (w, h), (x, y, eyes) in zip(sizes, guides, strict=True)
    ]
    assert calls.warps(asks) == wanted
    assert {code for code, _ in wanted} == {Code.OK, Code.NO_FACE}


def test_a_warp_needs_a_frame_that_can_be(calls):
    good = Ask(GUIDE, b"", 0, 320, 240, 0, guide=(2560, 1920, 640))
    wrong = [
        replace(good, op=op, **{side: n})
        for op in (GUIDE, LANDMARKS)
        for side in ("width", "height")
        for n in (0, 4097)
    ]
    assert calls.warps(wrong) == [(Code.NO_FRAME, IDENTITY)] * len(wrong)
    assert calls.warps([good])[0][0] == Code.OK
