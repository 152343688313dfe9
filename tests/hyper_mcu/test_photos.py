"""Whether several photos show one person: who is named, by embeddings whose cosines are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyper_mcu.faces import Crop
from hyper_mcu.faces.backbone import Backbone, Limits
from hyper_mcu.faces.detect import Face
from hyper_mcu.photos import Photo, strangers

CROP = Crop(np.zeros((112, 112, 3), np.uint8), Face((0, 0, 1, 1), np.zeros((5, 2), np.float32), 1.0), 1, 1)
ANN, BOB, EVE = np.eye(8, dtype=np.float32)[:3]
AXES = np.eye(8, dtype=np.float32)[3:]


def seen(*people: np.ndarray) -> list[Photo]:
    """Photos 0.jpg, 1.jpg, … whose embeddings have a cosine of 0.5 with each other where they show one person, else 0.

    What follows the embedding, as layers do, would tell another story.
    """
    e = [np.sqrt(0.5) * (p + AXES[i]) for i, p in enumerate(people)]
    rows = [np.concatenate([v, [9.0, -9.0 * (-1) ** i]]).astype(np.float32)[None] for i, v in enumerate(e)]
    return [Photo(Path(f"{i}.jpg"), CROP, row, 20.0, ()) for i, row in enumerate(rows)]


def backbone(agree: float) -> Backbone:
    return Backbone("b", 8, 10, 0, "", "", lambda crops: np.empty((0, 10), np.float32), limits=Limits(0, agree))


@pytest.mark.parametrize(
    ("people", "named"),
    [
        ((ANN,), ()),
        ((ANN, ANN), ()),
        ((ANN, ANN, ANN, ANN), ()),
        ((ANN, BOB, ANN), (1,)),
        ((BOB, ANN, ANN, EVE, ANN), (0, 3)),
        ((ANN, BOB), (0, 1)),
        ((ANN, BOB, EVE), (0, 1, 2)),
    ],
)
def test_who_is_not_the_person_of_the_others_is_named(people: tuple[np.ndarray, ...], named: tuple[int, ...]) -> None:
    found = strangers(seen(*people), backbone(0.45))
    assert sorted(found) == list(named)
    assert [found[i].where for i in sorted(found)] == [f"{i}.jpg" for i in named]


def test_cosine_is_told() -> None:
    (said,) = strangers(seen(ANN, BOB, ANN), backbone(0.45)).values()
    want = "1.jpg: shows another person than the others; expected a cosine of at least 0.45 to their mean, got 0.00"
    assert str(said) == want
    first, second = strangers(seen(ANN, BOB), backbone(0.45)).values()
    assert str(first) == "0.jpg: shows another person than 1.jpg; expected a cosine of at least 0.45, got 0.00"
    assert str(second) == "1.jpg: shows another person than 0.jpg; expected a cosine of at least 0.45, got 0.00"


def test_limit_decides() -> None:
    assert not strangers(seen(ANN, ANN), backbone(0.49))
    assert strangers(seen(ANN, ANN), backbone(0.51))


def test_backbone_without_a_limit_names_nobody() -> None:
    assert not strangers(seen(ANN, -ANN), backbone(0))
