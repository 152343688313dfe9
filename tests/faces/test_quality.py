import re

import cv2
import numpy as np
import pytest

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import ARCFACE_TEMPLATE, align
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.faces.detect import Face, detect
from hyper_mcu.faces.quality import (
    ENROL_EYES,
    PROBE_EYES,
    SHARP,
    Judge,
    check_norm,
    check_sharp,
    check_size,
    check_turned,
    sharpness,
    size,
    turned,
)

ALL = np.ones((112, 112), bool)


@pytest.fixture(scope="module")
def crop(yao):
    return align(yao, detect(yao)[0].landmarks)


def test_eyes_too_close_are_refused_with_their_distance():
    for distance, minimum, eyes in ((14.9, 20, 14), (19.99, 20, 19), (11.5, 12, 11)):
        with pytest.raises(UserError) as e:
            check_size(distance, minimum, "a.jpg")
        assert str(e.value) == f"a.jpg: eyes {eyes} px apart; expected at least {minimum}, got {eyes}"


@pytest.mark.parametrize("minimum", [ENROL_EYES, PROBE_EYES])
def test_eyes_at_the_limit_are_taken(minimum):
    def taken(eyes):
        try:
            check_size(eyes, minimum, "a.jpg")
        except UserError:
            return False
        return True

    assert [taken(eyes) for eyes in (minimum - 0.01, minimum, minimum + 0.01)] == [False, True, True]


def test_size_is_the_eye_distance_from_the_front_even_of_a_profile():
    marks = 2 * np.array(ARCFACE_TEMPLATE, np.float32)
    front = Face((0, 0, 200, 200), marks, 0.9)
    assert size(front) == pytest.approx(front.eye_distance, rel=1e-5)
    assert front.eye_distance == pytest.approx(70.48, abs=0.01)
    profile = Face((0, 0, 200, 200), marks * (0.1, 1), 0.9)
    assert profile.eye_distance < 8
    assert size(profile) > 45


def test_sharp_crop_is_taken(crop):
    assert sharpness(crop, ALL) > 0.9
    check_sharp(crop, ALL, "a.jpg")


@pytest.mark.parametrize("sigma", [3, 4, 6])
def test_useless_blur_is_refused(crop, sigma):
    blurred = cv2.GaussianBlur(crop, (0, 0), sigma)
    if sigma > 3:
        assert (backbone().embed(crop[None]) * backbone().embed(blurred[None])).sum() < 0.5
    with pytest.raises(
        UserError, match=r"^a.jpg: face is blurred; expected a sharpness of at least 0.50, got 0.[012]\d$"
    ):
        check_sharp(blurred, ALL, "a.jpg")


@pytest.mark.parametrize("kernel", [np.ones((1, 15)), np.ones((15, 1)), np.eye(11)])
def test_motion_blur_in_any_direction_is_refused(crop, kernel):
    assert sharpness(cv2.filter2D(crop, -1, kernel / kernel.sum()), ALL) < SHARP


def test_contrast_and_brightness_cancel(crop):
    faint = (crop // 4 + 90).astype(np.uint8)
    assert abs(sharpness(faint, ALL) / sharpness(crop, ALL) - 1) < 0.1


def test_black_around_the_photo_does_not_make_it_sharp(crop):
    blurred, inside = cv2.GaussianBlur(crop, (0, 0), 4), ALL.copy()
    inside[:, :20] = inside[100:] = False
    blurred[~inside] = 0
    assert sharpness(blurred, inside) < 0.3
    assert sharpness(blurred, inside) < sharpness(blurred, ALL)


@pytest.mark.parametrize("tilt", [0.0, 0.7, np.pi])
def test_turn_is_the_nose_off_the_middle_whatever_the_tilt_and_the_size(tilt):
    eyes, mouth = [(-30, -40), (30, -40)], [(-25, 40), (25, 40)]
    back = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    for nose, turn in ((0, 0.0), (12, 0.15), (-16, 0.2), (40, 0.5)):
        marks = np.array([*eyes, (nose, 10), *mouth]) @ back * 1.7 + (200, 90)
        assert turned(marks.astype(np.float32)) == pytest.approx(turn, abs=1e-5)
    assert turned(np.ones((5, 2), np.float32)) == 0


def test_face_turned_aside_is_refused_with_its_measure():
    marks = np.array(ARCFACE_TEMPLATE, np.float32)
    check_turned(marks, "a.jpg")
    marks[2, 0] += 0.3 * 40.6
    with pytest.raises(UserError) as e:
        check_turned(marks, "a.jpg")
    assert re.fullmatch(
        r"a\.jpg: face is turned aside; expected the nose at most 0\.25 off the middle, got 0\.(29|30)", str(e.value)
    )


def test_short_embedding_is_refused_where_a_limit_is_known():
    for norm, least in ((17.0, 17.0), (0.1, 0.0)):
        check_norm(norm, least, "a.jpg")
    with pytest.raises(UserError) as e:
        check_norm(16.99, 17.0, "a.jpg")
    assert str(e.value) == "a.jpg: backbone sees little of a face; expected an embedding at least 17.0 long, got 16.9"


def test_forced_judge_keeps_what_it_would_refuse():
    judge = Judge(force=True)
    judge(check_size, 14.9, 20, "a.jpg")
    judge(check_size, 20.0, 20, "b.jpg")
    assert [str(e) for e in judge.overridden] == ["a.jpg: eyes 14 px apart; expected at least 20, got 14"]
    with pytest.raises(UserError):
        Judge()(check_size, 14.9, 20, "a.jpg")


def test_flat_crop_is_blurred():
    flat = np.full((112, 112, 3), 77, np.uint8)
    assert sharpness(flat, ALL) == 0
    assert sharpness(flat, ~ALL) == 0
