import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu.faces.detect import Face, detect


def resized(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    height, width = (round(side * factor) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def framed(image: NDArray[np.uint8], height: int, width: int, y: int, x: int) -> NDArray[np.uint8]:
    picture = np.full((height, width, 3), 120, np.uint8)
    picture[y : y + image.shape[0], x : x + image.shape[1]] = image
    return picture


def test_portrait_has_one_face_with_landmarks_in_order(yao):
    (face,) = detect(yao)
    x0, y0, x1, y1 = face.box
    assert 45 < face.eye_distance < 55
    assert face.score > 0.7
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks.dtype == np.float32
    assert (face.landmarks > (x0, y0)).all()
    assert (face.landmarks < (x1, y1)).all()
    left, right, nose, mouth_left, mouth_right = face.landmarks
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_mirrored_portrait_has_mirrored_landmarks(yao):
    (face,), (mirrored,) = detect(yao), detect(np.ascontiguousarray(yao[:, ::-1]))
    back = mirrored.landmarks[[1, 0, 2, 4, 3]] * (-1, 1) + (yao.shape[1] - 1, 0)
    assert np.abs(back - face.landmarks).max() < 0.1 * face.eye_distance


def test_team_photo_has_the_team_and_its_crowd_largest_first(players):
    faces = detect(players)
    areas = [f.area for f in faces]
    assert areas == sorted(areas, reverse=True)
    assert sum(f.eye_distance >= 12 for f in faces) == 16
    assert len(faces) > 100


def test_two_large_faces_and_no_third_are_found(yao):
    pair = framed(yao, 600, 900, 30, 20)
    pair[250:537, 600:833] = yao
    first, second = detect(pair)
    assert abs(first.area / second.area - 1) < 0.2
    assert sorted(f.landmarks[2, 0] > 450 for f in (first, second)) == [False, True]


@pytest.mark.parametrize("side", [287, 1000, 4000])
def test_selfie_is_found_at_its_place_at_any_size(yao, side):
    factor = side / 287
    (small,), (large,) = detect(yao), detect(resized(yao, factor))
    assert np.abs(large.landmarks / factor - small.landmarks).max() < 0.08 * small.eye_distance


def test_face_that_fills_the_picture_is_found(yao):
    (face,) = detect(yao)
    x0, y0, x1, y1 = (round(v) for v in face.box)
    (found,) = detect(resized(yao[y0:y1, x0:x1], 2500 / (y1 - y0)))
    assert abs(found.eye_distance / (face.eye_distance * 2500 / (y1 - y0)) - 1) < 0.1


@pytest.mark.parametrize("picture", [(480, 640), (1500, 2000)])
def test_probe_with_eyes_12_pixels_apart_is_found(yao, picture):
    (face,) = detect(yao)
    tiny = resized(yao, 12 / face.eye_distance)
    (found,) = detect(framed(tiny, *picture, 200, 300))
    assert 10.5 < found.eye_distance < 13.5
    assert np.abs(found.landmarks - (300, 200) - face.landmarks * 12 / face.eye_distance).max() < 1.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 3), (300, 300)])
def test_pictures_without_a_face_have_none(shape):
    noise = np.random.default_rng(5).integers(0, 256, (*shape, 3), np.uint8)
    assert detect(noise) == ()
    assert detect(np.full((*shape, 3), 90, np.uint8)) == ()


def test_eye_distance_is_euclidean():
    marks = np.array([[1, 2], [4, 6], [3, 5], [2, 8], [5, 8]], np.float32)
    face = Face((0, 0, 10, 20), marks, 0.9)
    assert face.eye_distance == 5
    assert face.area == 200


def test_research_photos_have_one_sure_face(raw):
    from hyper_mcu.faces.photo import read_photo

    frontal = [p for p in raw if "frontal" in p.name]
    counts = [len(detect(read_photo(p))) for p in frontal]
    assert counts == [1] * len(frontal)
