"""hm_image's crops of frames: every byte is the twin's, of any format, size and warp; under sanitizers."""

from __future__ import annotations

import random

import numpy as np
import pytest
from c_programs import HOST_COMPILERS
from image_calls import (
    IDENTITY,
    INT32,
    KINDS,
    NULLS,
    ROWS,
    Calls,
    around,
    ask,
    differing,
    frame_of_noise,
    impossible,
)

from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device import image
from hyper_mcu.device.codes import Code
from hyper_mcu.device.image import PAIRS
from hyper_mcu.faces.align import Warp, apply, warp_of

pytestmark = pytest.mark.skipif(not HOST_COMPILERS, reason="no gcc or clang on PATH")


def sides(rng, kind):
    height, width = (int(rng.choice([1, 2, 3, int(rng.integers(1, 90))])) for _ in range(2))
    return height, -(-width // 2) * 2 if kind in PAIRS else width


@pytest.mark.parametrize("kind", KINDS)
def test_crop_of_any_frame_is_the_twins(calls, kind):
    rng = np.random.default_rng(KINDS.index(kind))
    asks, frames = [], []
    for _ in range(60):
        height, width = sides(rng, kind)
        frames.append(frame_of_noise(rng, kind, height, width, int(rng.choice([0, 0, 1, 8]))))
        halvings = int(rng.choice([0, 0, 1, 2, 3, 6]))
        wide = float(np.exp(rng.uniform(-2, 1.5))) * max(height, width) / 2**halvings
        warp = around(rng, height, width, halvings, wide, float(rng.choice([0, 0.6, 3])))
        asks.append(ask(ROWS, frames[-1], kind, warp=warp))
    assert differing(calls, asks, frames) == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel_is_a_frame(calls, kind):
    rng = np.random.default_rng(5)
    shown = frame_of_noise(rng, kind, 1, 2 if kind in PAIRS else 1)
    warps = [IDENTITY, *(around(rng, 1, 1, 0, wide) for wide in (0.01, 0.5, 3.0))]
    assert differing(calls, [ask(ROWS, shown, kind, warp=w) for w in warps], [shown] * len(warps)) == []


def test_a_warp_of_any_numbers_is_the_twins(calls):
    """Huge, negative and extreme coefficients, more halvings than a frame has, places that wrap in 32 bits."""
    rng, draw = np.random.default_rng(6), random.Random(6)
    asks, frames = [], []
    for n in range(250):
        kind = KINDS[n % len(KINDS)]
        height, width = sides(rng, kind)
        frames.append(frame_of_noise(rng, kind, height, width))
        q16 = tuple(
            draw.choice([0, 1, -1, *INT32, 65536, -65536, draw.randint(*INT32), draw.randint(-(2**22), 2**22)])
            for _ in range(6)
        )
        warp = Warp(draw.choice([0, 0, 1, 2, 5, 12, 13, 14]), q16)
        asks.append(ask(ROWS, frames[-1], kind, warp=warp))
    for side in (40, 41):  # in 32 bits the second half of such a row or column would come back into the frame
        for a, c in ((2**25, 0), (2**26 + 3, 5), (-(2**26), 65536 * 3), (2**31 - 1, -(2**31))):
            for warp in (Warp(0, (a, 0, c, 0, 65536, 0)), Warp(0, (65536, 0, 0, 0, a, c)), Warp(0, (0, a, c, a, 0, 0))):
                frames.append(frame_of_noise(rng, "grey", side, side) | 1)
                asks.append(ask(ROWS, frames[-1], "grey", warp=warp))
    assert differing(calls, asks, frames) == []


@pytest.mark.parametrize(
    ("height", "width", "halvings"), [(1, 4096, 0), (4096, 1, 0), (2, 4096, 1), (4096, 5, 2), (256, 1024, 8)]
)
def test_frames_of_the_longest_sides_are_the_twins(calls, height, width, halvings):
    rng = np.random.default_rng(width)
    frames, asks = [], []
    for kind in ("rgb565-big", "uyvy") if width % 2 == 0 else ("rgb565-little", "bgr888"):
        frames.append(frame_of_noise(rng, kind, height, width))
        # the whole of the longer side, and where it ends
        step, h = 65536 * (max(height, width) >> halvings) // 111, halvings
        end = 65536 * ((max(height, width) >> h) - 30)
        flat = [(step, 0, -9, 0, 100, 0), (65536, 0, end, 0, 100, 0)]
        tall = [(0, 100, 0, step, 0, -9), (0, 100, 0, 65536, 0, end)]
        q16s = flat if width > height else tall
        asks += [ask(ROWS, frames[-1], kind, warp=Warp(h, q)) for q in q16s]
        frames.append(frames[-1])
    assert differing(calls, asks, frames) == []


def test_a_frame_of_4096_by_4096_is_halved_to_a_pixel(calls):
    shown = frame_of_noise(np.random.default_rng(8), "grey", 4096, 4096)
    warp = Warp(12, (2**20, 0, -(2**15), 0, 2**20, -(2**15)))  # the only pixel, half a pixel off, once
    assert differing(calls, [ask(ROWS, shown, "grey", warp=warp)], [shown]) == []


def test_rgb_frames_give_the_product_aligners_crop(calls):
    """For the same Warp, the 112 rows are faces.align.apply of the picture: enrolment and device see the same."""
    rng = np.random.default_rng(9)
    asks, crops = [], []
    for size in (0.4, 1.0, 1.9, 2.1, 3.5, 4.2):
        picture = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        turn = size * np.exp(1j * rng.uniform(-0.5, 0.5))
        marks = np.array([(p - 560_000 - 700_000j) / 10_000 * turn for p in (complex(*t) for t in image.TEMPLATE)])
        warp = warp_of(np.stack([marks.real + 200, marks.imag + 150], 1).astype(np.float32), 300, 400)
        asks.append(ask(ROWS, image.frame_of(picture, "rgb888"), "rgb888", warp=warp))
        crops.append(apply(warp, picture))
    assert {a.warp.halvings for a in asks} == {0, 1, 2}
    for (code, crop), wanted in zip(calls.rows(asks), crops, strict=True):
        assert code == Code.OK
        np.testing.assert_array_equal(crop, wanted)


def test_a_smaller_net_gets_the_first_pixels_of_the_crop(tmp_path):
    small = seeded(preset("nano"))
    side = small.qnet.spec.width
    rng = np.random.default_rng(10)
    shown = frame_of_noise(rng, "rgb565-big", 100, 120)
    warp = around(rng, 100, 120, 0, 90)
    data = Calls(tmp_path, small, optimise="-O0").raw([ask(ROWS, shown, "rgb565-big", warp=warp)])
    crop = np.frombuffer(data[4:], np.uint8).reshape(side, side, 3)
    np.testing.assert_array_equal(crop, image.crop(shown, "rgb565-big", warp)[:side, :side])


def test_a_frame_that_cannot_be_is_refused_and_no_pixel_is_read(calls):
    for code, crop in calls.rows(list(impossible())):
        assert code == Code.NO_FRAME
        assert (crop == 0xA5).all()


def test_nulls_and_rows_that_are_none_are_refused(calls):
    data = np.frombuffer(calls.raw([ask(NULLS, np.zeros((4, 4), np.uint8), "grey")]), "<i4").reshape(-1, 2)
    assert data[:, 0].tolist() == [Code.NULL_POINTER] * 24 + [Code.WRONG_ROW_COUNT] * 2
    assert not data[:, 1].any()
