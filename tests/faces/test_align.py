import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyper_mcu.faces.align import ARCFACE_TEMPLATE, Warp, align, apply, inside, umeyama, warp_of
from hyper_mcu.faces.detect import detect

TEMPLATE = np.array(ARCFACE_TEMPLATE)


def moved(scale: float, angle: float, x: float, y: float) -> NDArray[np.float32]:
    """The template, enlarged, turned and shifted: landmarks whose exact similarity is known."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return (TEMPLATE @ np.array([[c, s], [-s, c]]) + (x, y)).astype(np.float32)


similarities = st.tuples(
    st.floats(0.1, 30), st.floats(-np.pi, np.pi), st.floats(-2000, 2000), st.floats(-2000, 2000)
)  # scale, angle, shift


@given(similarities)
def test_umeyama_recovers_a_similarity(parameters):
    scale, angle, _, _ = parameters
    found = umeyama(moved(*parameters))
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    assert np.allclose(found[:, :2], [[c, s], [-s, c]], atol=2e-4 / scale)
    back = moved(*parameters) @ found[:, :2].T + found[:, 2]
    assert np.abs(back - TEMPLATE).max() < 2e-3 / min(scale, 1)


@given(
    st.lists(st.tuples(st.floats(0, 500, width=32), st.floats(0, 500, width=32)), min_size=5, max_size=5, unique=True)
)
def test_umeyama_is_the_least_squares_similarity_without_reflection(points):
    marks = np.array(points)
    found = umeyama(marks.astype(np.float32))
    rows = [r for (x, y) in marks for r in ([x, -y, 1, 0], [y, x, 0, 1])]  # unknowns a, b, tx, ty
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), TEMPLATE.ravel(), rcond=None)[0]
    assert np.linalg.det(found[:, :2]) >= 0
    size = np.ptp(marks, axis=0).max()
    fit = marks @ found[:, :2].T + found[:, 2]
    best = np.stack([a * marks[:, 0] - b * marks[:, 1] + tx, b * marks[:, 0] + a * marks[:, 1] + ty], 1)
    if size > 1:
        assert np.abs(fit - best).max() < 1e-2


def test_mirrored_landmarks_are_not_reflected():
    mirrored = (TEMPLATE * (-1, 1) + (112, 0)).astype(np.float32)
    assert np.linalg.det(umeyama(mirrored)[:, :2]) > 0


def test_landmarks_in_one_point_are_refused():
    with pytest.raises(ValueError, match="expected five points apart, got one point"):
        umeyama(np.full((5, 2), 7, np.float32))


def picture(height: int, width: int) -> NDArray[np.uint8]:
    y, x, c = np.ogrid[:height, :width, :3]
    return ((x * 7 + y * 13 + x * y // 16 + c * 80) ^ (x * y // 50)).astype(np.uint8)


def by_the_letter(warp: Warp, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Steps 1 to 3 of `apply`'s docstring in plain integers, the whole picture halved, one pixel at a time."""
    p = image.astype(int)
    for _ in range(warp.halvings):
        h, w = p.shape[0] // 2, p.shape[1] // 2
        p = p[: 2 * h, : 2 * w]
        p = (p[::2, ::2] + p[::2, 1::2] + p[1::2, ::2] + p[1::2, 1::2] + 2) >> 2
    a, b, c, d, e, f = warp.q16
    black = np.zeros(3, int)

    def at(j: int, i: int) -> NDArray[np.int64]:
        return p[j, i] if 0 <= j < p.shape[0] and 0 <= i < p.shape[1] else black

    crop = np.zeros((112, 112, 3), np.uint8)
    for v in range(112):
        for u in range(112):
            x, y = (a * u + b * v + c + 128) >> 8, (d * u + e * v + f + 128) >> 8
            i, r, j, s = x >> 8, x & 255, y >> 8, y & 255
            top = at(j, i) * (256 - r) + at(j, i + 1) * r
            bottom = at(j + 1, i) * (256 - r) + at(j + 1, i + 1) * r
            crop[v, u] = (top * (256 - s) + bottom * s + 32768) >> 16
    return crop


near = st.tuples(st.floats(0.2, 9), st.floats(-np.pi, np.pi), st.floats(-300, 300), st.floats(-300, 300))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), near)
def test_vectorised_warp_is_its_definition_to_the_byte(height, width, parameters):
    image, warp = picture(height, width), warp_of(moved(*parameters), height, width)
    assert np.array_equal(apply(warp, image), by_the_letter(warp, image))


def test_warp_is_bilinear_interpolation_in_float():
    image = cv2.GaussianBlur(picture(200, 260), (0, 0), 1.0)
    warp = warp_of(moved(1.4, 0.3, 60, 10), 200, 260)
    assert warp.halvings == 0
    a, b, c, d, e, f = (q / 65536 for q in warp.q16)
    u, v = np.meshgrid(np.arange(112), np.arange(112))
    x, y = a * u + b * v + c, d * u + e * v + f
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)
    r, s = (x - i)[..., None], (y - j)[..., None]
    padded = np.pad(image, ((200, 200), (200, 200), (0, 0))).astype(float)

    def p(dj: int, di: int) -> NDArray[np.float64]:
        return padded[j + dj + 200, i + di + 200]

    exact = (1 - s) * ((1 - r) * p(0, 0) + r * p(0, 1)) + s * ((1 - r) * p(1, 0) + r * p(1, 1))
    difference = np.abs(apply(warp, image) - exact)
    assert difference.max() < 1.5
    assert difference.mean() < 0.4


@pytest.mark.parametrize(("factor", "border"), [(1.0, 0), (0.5, 0), (1.0, 40)])
def test_warp_agrees_with_opencv(yao, factor, border):
    image = cv2.resize(yao, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[border:, border:]
    image = np.ascontiguousarray(image)
    (face,) = detect(image)
    theirs = cv2.warpAffine(image, umeyama(face.landmarks), (112, 112), flags=cv2.INTER_LINEAR)
    difference = np.abs(align(image, face.landmarks).astype(int) - theirs)
    assert difference.max() <= 8  # older OpenCV has weights of 1/32 only
    assert difference.mean() < 0.5


def test_identity_keeps_every_pixel():
    image = picture(112, 112)
    assert np.array_equal(align(image, TEMPLATE.astype(np.float32)), image)


@pytest.mark.parametrize(("scale", "halvings"), [(0.5, 0), (1.99, 0), (2.01, 1), (3.99, 1), (4.01, 2), (16.5, 4)])
def test_large_faces_are_halved_until_two_pixels_a_crop_pixel(scale, halvings):
    assert warp_of(moved(scale, 0, 5, 5), 4000, 4000).halvings == halvings


def test_no_aliasing_from_a_fine_checkerboard():
    board = np.indices((1200, 1200)).sum(0) % 2 * 255
    image = np.repeat(board[..., None], 3, 2).astype(np.uint8)
    crop = align(image, moved(8.0, 0.2, 250, 50))
    seen = inside(warp_of(moved(8.0, 0.2, 250, 50), 1200, 1200), 1200, 1200)
    assert np.abs(crop[seen].astype(int) - 128).max() <= 1


def test_halving_keeps_the_place_of_the_face(yao):
    (face,) = detect(yao)
    large = cv2.resize(yao, None, fx=6, fy=6, interpolation=cv2.INTER_LINEAR)
    landmarks = ((face.landmarks + 0.5) * 6 - 0.5).astype(np.float32)
    assert warp_of(landmarks, *large.shape[:2]).halvings == 3
    difference = np.abs(align(large, landmarks).astype(int) - align(yao, face.landmarks))
    assert difference.mean() < 2


def test_outside_of_the_picture_is_black_and_marked():
    image = np.full((60, 60, 3), 200, np.uint8)
    warp = Warp(0, (65536, 0, -20 << 16, 0, 65536, -30 << 16))
    crop, seen = apply(warp, image), inside(warp, 60, 60)
    assert (crop[30:90, 20:80] == 200).all()
    assert crop.sum() == 60 * 60 * 3 * 200
    assert seen.sum() == 59 * 59
    assert seen[30:89, 20:79].all()


def test_crop_wholly_outside_is_black():
    assert not apply(Warp(1, (65536, 0, 500 << 16, 0, 65536, 0)), picture(50, 50)).any()


def test_bytes_of_a_fixed_warp():
    warp = Warp(1, (70001, -12345, 900_001, 12345, 70001, -300_007))
    crop = apply(warp, picture(301, 403))
    assert np.array_equal(crop, by_the_letter(warp, picture(301, 403)))
    assert (
        hashlib.sha256(crop.tobytes()).hexdigest() == "a2675b23ea05828bd4b285c2ff200ebef72fe7227e412f6e295e24b5e440b302"
    )
