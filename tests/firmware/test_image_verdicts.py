"""hm_image's verdicts on frames are the oracle's, of one crop and of a search; what cannot be judged is no match."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from c_programs import HOST_COMPILERS
from image_calls import (
    IDENTITY,
    KINDS,
    LANDMARKS,
    ROW_BYTES,
    SEARCH,
    VERIFY,
    around,
    ask,
    frame_of_noise,
    impossible,
)

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.layout import session_bytes
from hyper_mcu.device import image
from hyper_mcu.device.client import MATCH, NO_MATCH
from hyper_mcu.device.codes import Code
from hyper_mcu.device.image import Search
from hyper_mcu.faces.align import Warp

pytestmark = pytest.mark.skipif(not HOST_COMPILERS, reason="no gcc or clang on PATH")


def test_a_frame_that_cannot_be_is_never_a_match(calls):
    asks = [replace(a, op=op, person=1) for a in impossible() for op in (VERIFY, SEARCH)]
    for answer in calls.judged(asks):
        assert (answer.code, answer.decision, answer.match) == (Code.NO_FRAME, NO_MATCH, False)
        assert (answer.logit, answer.threshold) == (-(2**31), 2**31 - 1)


def test_verdicts_on_frames_are_the_oracles(calls, small_person):
    rng = np.random.default_rng(3)
    asks, crops = [], []
    for kind in KINDS:
        shown = frame_of_noise(rng, kind, 130, 140)
        asks.append(ask(VERIFY, shown, kind, warp=around(rng, 130, 140, 0, 120)))
        crops.append(image.crop(shown, kind, asks[-1].warp))
    for answer, crop in zip(calls.judged(asks), crops, strict=True):
        wanted = oracle.run(small_person.qnet, crop).logit
        assert (answer.code, answer.logit, answer.threshold) == (Code.OK, wanted, small_person.threshold)
        assert answer.match == (wanted >= small_person.threshold)
        assert answer.decision == (MATCH if answer.match else NO_MATCH)


def test_nothing_of_the_face_stays(calls, small_person):
    shown = frame_of_noise(np.random.default_rng(4), "rgb888", 112, 112)
    good = ask(VERIFY, shown, "rgb888")
    for answer in calls.judged([good, replace(good, op=SEARCH), replace(good, person=2)]):
        assert len(answer.left) == ROW_BYTES + session_bytes(small_person.qnet.spec)
        assert not any(answer.left)


@pytest.mark.parametrize(("who", "code"), [(0, Code.NULL_POINTER), (2, Code.CORRUPT_PERSON)])
def test_a_person_that_cannot_be_used_is_never_a_match(calls, who, code):
    shown = frame_of_noise(np.random.default_rng(4), "rgb888", 112, 112)
    search = Search(shifts=1, shift=2)
    asks = [ask(op, shown, "rgb888", person=who, search=search) for op in (VERIFY, SEARCH)]
    for answer in calls.judged(asks):
        assert (answer.code, answer.decision, answer.match) == (code, NO_MATCH, False)
        assert (answer.logit, answer.threshold) == (-(2**31), 2**31 - 1)


SEARCHES = [
    Search(),
    Search(shifts=1, shift=3),
    Search(scales=2, scale=4),
    Search(tilts=3, tilt=5),
    Search(shifts=1, scales=1, tilts=1, shift=2, scale=3, tilt=4),
]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: str(s.cost))
def test_search_finds_the_best_of_the_twins_tries(calls, small_person, search):
    rng = np.random.default_rng(11)
    shown = frame_of_noise(rng, "yuyv", 150, 160)
    start = around(rng, 150, 160, 0, 130)
    (answer,) = calls.judged([ask(SEARCH, shown, "yuyv", warp=start, search=search)])
    warps = image.tries(start, search)
    logits = [oracle.run(small_person.qnet, image.crop(shown, "yuyv", w)).logit for w in warps]
    first = logits.index(max(logits))
    assert len(warps) == search.cost == answer.cost
    assert (answer.code, answer.logit, answer.best) == (Code.OK, logits[first], warps[first])
    assert answer.match == (logits[first] >= small_person.threshold)


def test_of_equal_tries_the_first_wins(calls):
    """All crops of an even grey are one, so the guide itself is the best."""
    shown = np.full((400, 400), 90, np.uint8)
    start = Warp(0, (65536, 0, 144 << 16, 0, 65536, 144 << 16))
    (answer,) = calls.judged([ask(SEARCH, shown, "grey", warp=start, search=SEARCHES[-1])])
    assert (answer.code, answer.best) == (Code.OK, start)


def test_a_search_out_of_bounds_is_refused(calls):
    shown = frame_of_noise(np.random.default_rng(12), "grey", 9, 9)
    wrong = [
        Search(shifts=1),
        Search(scales=1),
        Search(tilts=1),
        Search(shifts=2, shift=57),
        Search(tilts=255, tilt=255),
    ]
    wrong += [Search(scales=11, scale=3), Search(tilts=13, tilt=5), Search(shifts=255, shift=255)]
    for answer in calls.judged([ask(SEARCH, shown, "grey", search=s) for s in wrong]):
        assert (answer.code, answer.cost, answer.decision, answer.match) == (Code.NO_FACE, 0, NO_MATCH, False)
        assert answer.best == IDENTITY


def test_a_search_whose_numbers_grow_too_large_is_refused(calls):
    shown = frame_of_noise(np.random.default_rng(13), "grey", 9, 9)
    start = Warp(0, (2**31 - 1, 0, 0, 0, 65536, 0))
    (answer,) = calls.judged([ask(SEARCH, shown, "grey", warp=start, search=Search(scales=1, scale=1))])
    assert (answer.code, answer.match, answer.best, answer.cost) == (Code.NO_FACE, False, start, 3)


def test_any_search_from_any_warp_is_the_twins(calls, small_person):
    draw = random.Random(14)
    shown = frame_of_noise(np.random.default_rng(14), "rgb565-little", 20, 24)
    asks = []
    for _ in range(40):
        q16 = tuple(draw.choice([draw.randint(-(2**k), 2**k - 1) for k in (12, 17, 24, 31)]) for _ in range(6))
        search = draw.choice([Search(0, 1, 0, 0, draw.randint(1, 32), 0), Search(0, 0, 1, 0, 0, draw.randint(1, 64)),
                              Search(1, 0, 0, draw.randint(1, 112), 0, 0)])  # fmt: skip
        asks.append(ask(SEARCH, shown, "rgb565-little", warp=Warp(draw.randint(0, 3), q16), search=search))
    for answer, a in zip(calls.judged(asks), asks, strict=True):
        try:
            warps = image.tries(a.warp, a.search)
        except ValueError:
            assert (answer.code, answer.match) == (Code.NO_FACE, False)
            continue
        logits = [oracle.run(small_person.qnet, image.crop(shown, "rgb565-little", w)).logit for w in warps]
        assert (answer.code, answer.logit) == (Code.OK, max(logits))
        assert answer.best == warps[logits.index(max(logits))]


def test_photos_by_the_detector_from_rgb565_frames(calls, small_person, research_faces):
    """Landmarks as the product finds them, told in 1/16 pixel; warp, crop and verdict by the C."""
    from hyper_mcu.faces.detect import detect
    from hyper_mcu.faces.photo import read_photo

    asks, shown = [], []
    for photo in sorted((research_faces / "raw").glob("*-frontal-01.jpg"))[:6]:
        picture = read_photo(photo)
        face = detect(picture)[0]
        height, width = picture.shape[:2]
        pixels = image.frame_of(picture, "rgb565-big")
        marks = image.points(face.landmarks)
        (found,) = calls.warps([ask(LANDMARKS, pixels, "rgb565-big", points=marks)])
        assert found == (Code.OK, image.warp_of_landmarks(width, height, marks))
        asks.append(ask(VERIFY, pixels, "rgb565-big", warp=found[1]))
        shown.append(pixels)
    for answer, a, pixels in zip(calls.judged(asks), asks, shown, strict=True):
        assert answer.code == Code.OK
        assert answer.logit == oracle.run(small_person.qnet, image.crop(pixels, "rgb565-big", a.warp)).logit
