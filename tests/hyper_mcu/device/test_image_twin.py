"""The twin of hm_image: colours as others have them, warps beside the float aligner's, tries where they should lie."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu.device import image
from hyper_mcu.device.image import FORMATS, PAIRS, Search
from hyper_mcu.faces.align import ARCFACE_TEMPLATE, SIDE, Warp, apply, warp_of

TEMPLATE = np.array(ARCFACE_TEMPLATE)
IDENTITY = Warp(0, (65536, 0, 0, 0, 65536, 0))


def place(warp: Warp, u: float, v: float) -> NDArray[np.float64]:
    """Where crop pixel (u, v) lies in the frame before its halvings, in pixels."""
    a, b, c, d, e, f = (q / 65536 for q in warp.q16)
    halved = np.array([a * u + b * v + c, d * u + e * v + f])
    return (halved + 0.5) * 2**warp.halvings - 0.5


def picture(seed: int, height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["rgb565-big", "rgb565-little"])
def test_565_bits_spread_over_the_whole_byte(kind):
    words = np.arange(65536).astype(">u2" if kind == "rgb565-big" else "<u2").view(np.uint8).reshape(256, 512)
    rgb = image.rgb_of(words, kind).reshape(-1, 3)
    for channel, (shift, most) in enumerate(((11, 31), (5, 63), (0, 31))):
        level = np.arange(65536) >> shift & most
        assert abs(rgb[:, channel] - level * 255 / most).max() < 1
        assert set(rgb[level == most, channel]) == {255}
        assert set(rgb[level == 0, channel]) == {0}


def test_red_comes_first_where_it_is_said_to():
    red = np.full((1, 2, 3), (255, 0, 0), np.uint8)
    first = {kind: image.frame_of(red, kind)[0, :4].tolist() for kind in FORMATS}
    assert first["rgb565-big"] == [0xF8, 0, 0xF8, 0]
    assert first["rgb565-little"] == [0, 0xF8, 0, 0xF8]
    assert first["rgb888"] == [255, 0, 0, 255]
    assert first["bgr888"] == [0, 0, 255, 0]
    assert first["yuyv"] == [76, 85, 76, 255]
    assert first["uyvy"] == [85, 76, 255, 76]


@pytest.mark.parametrize("kind", sorted(PAIRS))
def test_yuv_is_that_of_jpeg(kind):
    """Against Pillow's own conversion, which rounds its parts one by one."""
    rng = np.random.default_rng(1)
    yuv = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    yuv[:, 1::2, 1:] = yuv[:, ::2, 1:]
    theirs = np.asarray(Image.fromarray(yuv, "YCbCr").convert("RGB")).astype(int)
    frame = np.empty((200, 400), np.uint8)
    y, u, v = PAIRS[kind]
    frame[:, y::2], frame[:, u::4], frame[:, v::4] = yuv[..., 0], yuv[:, ::2, 1], yuv[:, ::2, 2]
    assert abs(image.rgb_of(frame, kind) - theirs).max() <= 1


def test_grey_is_all_three_channels():
    grey = picture(2)[..., 0]
    assert np.array_equal(image.rgb_of(grey, "grey"), np.stack([grey] * 3, 2))


@pytest.mark.parametrize(("kind", "most"), [("rgb888", 0), ("bgr888", 0), ("rgb565-big", 5), ("rgb565-little", 5)])
def test_a_picture_comes_back_from_its_frame(kind, most):
    shown = picture(3)
    back = image.rgb_of(image.frame_of(shown, kind), kind)
    assert abs(back.astype(int) - shown).max() <= most


@pytest.mark.parametrize("kind", sorted(PAIRS))
def test_a_picture_of_even_pairs_comes_back_from_yuv(kind):
    shown = np.repeat(picture(4, 60, 40), 2, axis=1)
    back = image.rgb_of(image.frame_of(shown, kind), kind)
    assert abs(back.astype(int) - shown).max() <= 2


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((0, 8), "grey"),
        ((8, 0), "grey"),
        ((4097, 1), "grey"),
        ((1, 4097), "grey"),
        ((2, 6), "yuyv"),
        ((2, 7), "bgr888"),
    ],
)
def test_a_frame_of_no_size_or_part_of_a_pixel_is_refused(shape, kind):
    with pytest.raises(ValueError, match="frame: expected sides of 1 to 4096 pixels"):
        image.rgb_of(np.zeros(shape, np.uint8), kind)


def faces(n: int, seed: int) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Width, height and landmarks in 1/16 pixel of faces of 8 to 1000 pixels between the eyes, with noise in them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        width, height = (int(rng.choice([240, 320, 480, 640, 1600, 4096])) for _ in range(2))
        size = np.exp(rng.uniform(np.log(8), np.log(1000))) / 35.24
        turn = np.exp(1j * rng.uniform(-np.pi, np.pi) * rng.choice([0.1, 1]))
        marks = (TEMPLATE - 56) @ [1, 1j] * size * turn + complex(*rng.uniform(0, (width, height)))
        noisy = np.stack([marks.real, marks.imag], 1) + rng.normal(0, 3 * size * rng.random(), (5, 2))
        points = image.points(noisy.astype(np.float32))
        if all(max(abs(x), abs(y)) < image.FARTHEST for x, y in points):
            found.append((width, height, points))
    return found


def difference(width: int, height: int, points: list[tuple[int, int]]) -> tuple[int, int]:
    """The largest difference of a coefficient from the float aligner's warp of the same landmarks; and whether one of
    them is halved once more, which only a crop pixel of two pixels' width, to 1 part in 65536, may be."""
    exact = warp_of(np.array(points) / 16, height, width)
    ours = image.warp_of_landmarks(width, height, points)
    if exact.halvings != ours.halvings:
        wide = np.hypot(exact.q16[0], exact.q16[3]) / 65536
        assert min(abs(wide - 1), abs(wide - 2)) < 2**-15
        return 0, 1
    return max(abs(a - b) for a, b in zip(exact.q16, ours.q16, strict=True)), 0


def test_integer_umeyama_is_the_float_one_to_one_step():
    steps, halvings = zip(*(difference(*face) for face in faces(3000, 1)), strict=True)
    assert len(steps) > 2700
    assert max(steps) <= 1  # 1/65536 pixel: as near as roundings can be
    assert np.mean(np.sign(steps)) < 0.02
    assert sum(halvings) == 0


@pytest.mark.slow
def test_integer_umeyama_is_the_float_one_to_one_step_for_very_many_faces():
    for seed in range(2, 32):
        steps, halvings = zip(*(difference(*face) for face in faces(20_000, seed)), strict=True)
        assert len(steps) > 18_000
        assert max(steps) <= 1
        assert np.mean(np.sign(steps)) < 0.02
        assert sum(halvings) <= 2


def test_crops_of_both_warps_are_one_but_for_single_steps():
    same, most = 0, 0
    for width, height, points in faces(40, 5):
        shown = picture(6, min(height, 700), min(width, 700))
        ours = apply(image.warp_of_landmarks(shown.shape[1], shown.shape[0], points), shown)
        exact = apply(warp_of(np.array(points) / 16, *shown.shape[:2]), shown)
        same += np.array_equal(ours, exact)
        most = max(most, int(abs(ours.astype(int) - exact).max()))
    assert same >= 38
    assert most <= 2


def test_a_guide_is_an_upright_face_where_it_says():
    for x, y, eyes, width in ((160.0, 100.0, 50.0, 320), (800.5, 600.25, 400.0, 1600), (10.0, 20.0, 8.0, 64)):
        warp = image.warp_of_guide(width, width, (round(16 * x), round(16 * y)), round(16 * eyes))
        left, right = (place(warp, *TEMPLATE[k]) for k in (0, 1))
        assert np.hypot(*(right - left)) == pytest.approx(eyes, rel=1e-4)
        np.testing.assert_allclose((left + right) / 2, (x, y), atol=0.01)
        assert warp.q16[1] == warp.q16[3] == 0


def test_a_guide_agrees_with_landmarks_of_an_upright_face():
    marks = (TEMPLATE * 2.5 + (100, 40)).astype(np.float32)
    middle = marks[:2].mean(0) * 16
    guide = image.warp_of_guide(640, 480, (round(middle[0]), round(middle[1])), round(16 * 2.5 * 35.24))
    exact = warp_of(marks, 480, 640)
    assert guide.halvings == exact.halvings
    for u, v in ((0, 0), (111, 0), (0, 111), (111, 111)):
        np.testing.assert_allclose(place(guide, u, v), place(exact, u, v), atol=0.2)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(7, 7)] * 5, "expected a face"),
        ([(0, 0)] * 4, "expected five places"),
        ([(0, 0), (131_073, 0), (1, 1), (2, 2), (3, 3)], "expected five places within 8192 pixels"),
        ([(0, 0), (1, 0), (0, 1), (0, 1), (1, 1)], "expected crop pixels of 1/64 to 64 pixels"),
        ([(-120_000, -120_000), (120_000, -120_000), (0, 0), (-90_000, 120_000), (90_000, 120_000)], "1/64 to 64"),
    ],
)
def test_landmarks_of_no_face_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        image.warp_of_landmarks(320, 240, points)


@pytest.mark.parametrize(("centre", "eyes"), [((0, 0), n) for n in (0, -1, 7, 40_000)] + [((131_073, 0), 160)])
def test_a_guide_out_of_bounds_is_refused(centre, eyes):
    with pytest.raises(ValueError, match=r"expected a place|expected crop pixels"):
        image.warp_of_guide(320, 240, centre, eyes)


def test_a_search_begins_with_the_guide_and_goes_outwards():
    warps = image.tries(IDENTITY, Search(shifts=2, shift=3))
    assert warps[0] == IDENTITY
    assert [w.q16[2] // 65536 for w in warps[:5]] == [0, -3, 3, -6, 6]
    assert [w.q16[5] // 65536 for w in warps[::5]] == [0, -3, 3, -6, 6]
    assert len(set(warps)) == 25


def test_tries_go_through_shifts_then_sizes_then_tilts():
    search = Search(shifts=1, scales=1, tilts=1, shift=2, scale=4, tilt=5)
    warps = image.tries(IDENTITY, search)
    assert len(warps) == search.cost == 81
    moves = [(x, y, s, t) for t in (0, -5, 5) for s in (0, -4, 4) for y in (0, -2, 2) for x in (0, -2, 2)]
    assert warps == [image.moved(IDENTITY, *move) for move in moves]


@pytest.mark.parametrize("tilt", [-64, -20, -1, 0, 3, 16, 64])
@pytest.mark.parametrize("scale", [-32, -5, 0, 7, 32])
def test_a_try_is_the_similarity_that_it_is_said_to_be(tilt, scale):
    """In crop pixels about (56, 56); the series of sine and cosine are 2 parts in 1000 off at a whole radian."""
    start = Warp(1, (70_000, -9_000, 1_234_567, 9_000, 70_000, -765_432))
    found = image.moved(start, 5, -3, scale, tilt)
    turn = (1 + scale / 64) * np.exp(1j * tilt / 64)
    off = 2e-3 + 0.25 * (abs(tilt) / 64) ** 5
    for u, v in ((0, 0), (111, 0), (56, 56), (0, 111), (111, 111)):
        moved = turn * complex(u - 56, v - 56) + complex(56 + 5, 56 - 3)
        assert abs(place(found, u, v) - place(start, moved.real, moved.imag)).max() <= 4 * off


@pytest.mark.parametrize(
    ("search", "cost"),
    [
        (Search(), 1),
        (Search(shifts=56, shift=2), 113**2),
        (Search(scales=32, scale=1), 65),
        (Search(tilts=64, tilt=1), 129),
        (Search(112, 32, 64, 1, 1, 1), 225**2 * 65 * 129),
        (Search(shifts=1), 0),
        (Search(scales=17, scale=2), 0),
        (Search(tilts=3, tilt=22), 0),
        (Search(shifts=57, shift=2), 0),
    ],
)
def test_a_search_costs_what_it_tries(search, cost):
    assert search.cost == cost < 2**32


def test_a_search_out_of_bounds_has_no_tries():
    with pytest.raises(ValueError, match="search: expected steps of 1 or more and spans of 112, 32 and 64"):
        image.tries(IDENTITY, Search(shifts=1))


def test_a_try_whose_numbers_grow_too_large_is_refused():
    with pytest.raises(ValueError, match="search: expected coefficients of 32 bits"):
        image.moved(Warp(0, (2**31 - 1, 0, 0, 0, 1, 0)), 0, 0, 1, 0)


def test_crop_is_the_aligners_of_the_frame_in_rgb():
    shown = picture(7, 200, 200)
    warp = warp_of((TEMPLATE * 1.5 + 10).astype(np.float32), 200, 200)
    np.testing.assert_array_equal(image.crop(image.frame_of(shown, "bgr888"), "bgr888", warp), apply(warp, shown))
    assert image.crop(image.frame_of(shown, "uyvy"), "uyvy", warp).shape == (SIDE, SIDE, 3)
