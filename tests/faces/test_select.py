import numpy as np
import pytest

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.detect import Face
from hyper_mcu.faces.select import choose

MARKS = np.zeros((5, 2), np.float32)


def faces(n: int) -> list[Face]:
    return [Face((10.4 * i, 2 * i, 10 * i + 50.6, 60), MARKS, 0.9) for i in range(n)]


def refusal(n: int, which: str | None, purpose: str) -> str:
    with pytest.raises(UserError) as e:
        choose(faces(n), which, "a.jpg", purpose)
    return str(e.value)


def test_the_only_face_is_meant():
    assert choose(faces(1), None, "a.jpg") == (1,)


def test_largest_number_and_any():
    assert choose(faces(3), "largest", "a.jpg", "enrol") == (1,)
    assert choose(faces(3), "3", "a.jpg", "enrol") == (3,)
    assert choose(faces(3), "any", "a.jpg", "probe") == (1, 2, 3)


@pytest.mark.parametrize("which", [None, "largest", "1", "any"])
def test_no_face_is_an_error_whatever_was_asked(which):
    assert refusal(0, which, "probe") == "a.jpg: no face found; expected one face, got none"


def test_several_faces_are_listed_with_their_numbers():
    assert refusal(2, None, "enrol") == (
        "a.jpg: 2 faces; expected one, or --face N|largest, got 1: 0,0–51,60, 2: 10,2–61,60"
    )
    assert refusal(2, None, "probe") == (
        "a.jpg: 2 faces; expected one, or --face N|largest|any, got 1: 0,0–51,60, 2: 10,2–61,60"
    )


def test_every_face_that_can_be_chosen_is_listed_up_to_a_hundred():
    text = refusal(103, None, "enrol")
    assert text.startswith("a.jpg: 103 faces; expected one, or --face N|largest, got 1: 0,0–51,60, 2:")
    assert text.count("–") == 100
    assert text.endswith(" and 3 more")
    assert "more" not in refusal(100, None, "enrol")


def test_numbers_out_of_range_are_refused():
    assert refusal(3, "4", "enrol") == "a.jpg: no face 4; expected --face 1 to 3, got 4"
    assert refusal(3, "0", "probe") == "a.jpg: no face 0; expected --face 1 to 3, got 0"
    assert refusal(1, "2", "probe") == "a.jpg: no face 2; expected --face 1, got 2"


@pytest.mark.parametrize("which", ["-1", "two", "", "1.5", "²", "largest|any", "99999999999999999999"])
def test_words_that_name_no_face_are_refused(which):
    assert refusal(2, which, "probe") == f"--face: which face; expected a number or largest or any, got {which}"


def test_any_is_for_probes_only():
    assert refusal(2, "any", "enrol") == "--face: which face; expected a number or largest, got any"
