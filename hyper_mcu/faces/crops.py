"""From a photo to aligned crops: read → detect → choose → check → align; or from a file that is one already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import ARCFACE_TEMPLATE, SIDE, apply, inside, warp_of
from hyper_mcu.faces.crop_file import RAW, SIZES, decoded
from hyper_mcu.faces.detect import SIDES, Face, detect, turn
from hyper_mcu.faces.photo import read_photo
from hyper_mcu.faces.quality import (
    ENROL_EYES,
    PROBE_EYES,
    Judge,
    check_light,
    check_sharp,
    check_size,
    check_turned,
    check_whole,
    size,
)
from hyper_mcu.faces.select import Purpose, choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AGAIN = "of an aligned crop's size, but a face was looked for and aligned again; --aligned takes a crop as it is"


@dataclass(frozen=True)
class Crop:
    """An aligned face: pixels uint8 (112, 112, 3) RGB; the face it shows and its number, 1…of, in the photo.

    again: the photo had the size of an aligned crop, and its face was aligned as in any photo. overridden: what would
    have refused it at enrolment, but was told not to.
    """

    pixels: NDArray[np.uint8]
    face: Face
    number: int
    of: int
    again: bool = False
    overridden: tuple[UserError, ...] = ()

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the face in whole pixels of the photo."""
        x0, y0, x1, y1 = (round(v) for v in self.face.box)
        return x0, y0, x1, y1

    @property
    def which(self) -> str:
        """Which of several faces it is, as a person reads it behind the photo's name; nothing for the only one."""
        x0, y0, x1, y1 = self.box
        return f", face {self.number} of {self.of}, at {x0},{y0}–{x1},{y1}" if self.of > 1 else ""

    @property
    def note(self) -> str:
        """What a person should know of it, in a line; "" where there is nothing."""
        return AGAIN if self.again else ""


def crops_by(
    which: str | None, purpose: Purpose, *, aligned: bool, force: bool = False
) -> Callable[[Path], tuple[Crop, ...]]:
    """How files become crops: `face_crops`, or `aligned_crop` where they are aligned.

    Raises UserError where a face is to be chosen from what has but one.
    """
    if not aligned:
        return lambda path: face_crops(path, which, purpose, force=force)
    if which is not None:
        raise UserError("--face", "an aligned crop is one face", "no --face beside --aligned", which)
    return lambda path: (aligned_crop(path, purpose, force=force),)


def aligned_crop(path: Path, purpose: Purpose, *, force: bool = False) -> Crop:
    """The crop in a file, whose face is taken to lie as in the template; nothing is detected.

    Raises UserError for a file that holds no crop and, at enrolment without `force`, for a face badly lit or blurred.
    """
    import numpy as np

    pixels, judge = decoded(path), Judge(force)
    if purpose == "enrol":
        _judge_crop(judge, pixels, np.ones((SIDE, SIDE), bool), path)
    face = Face((0.0, 0.0, SIDE, SIDE), np.array(ARCFACE_TEMPLATE, np.float32), 1.0)
    return Crop(pixels, face, 1, 1, overridden=tuple(judge.overridden))


def _judge_crop(judge: Judge, pixels: NDArray[np.uint8], seen: NDArray[np.bool_], where: object) -> None:
    """What enrolment asks of a crop, of which `seen` is inside the photo."""
    judge(check_light, pixels, seen, where)
    judge(check_sharp, pixels, seen, where)


def face_crops(path: Path, which: str | None, purpose: Purpose, *, force: bool = False) -> tuple[Crop, ...]:
    """The crops of the meant faces of a photo, in order of their numbers; more than one only if which is "any".

    Faces of a size below 12 pixels are of no use to anybody: they have no number and are not in the way.
    Raises UserError for a bad file, no face, several faces without `which`, a face too small, a face not upright
    (unless which is "any") and, at enrolment without `force`, a face cut off, turned aside, badly lit or blurred. Nor
    has `force` a say in a face too small for a probe.
    """
    where = str(path)
    if path.suffix.lower() in RAW:
        raise UserError(where, "not a photo", "JPEG, PNG, WebP, BMP or HEIC, or --aligned for a crop", path.suffix)
    image = read_photo(path)
    height, width = image.shape[:2]
    found = detect(image)
    if not found and (turns := _turn_with_a_face(image)):
        raise _turned(where, turns)
    usable = [f for f in found if size(f) >= PROBE_EYES]
    usable = usable or list(found[:1])
    numbers = choose(usable, which, where, purpose)
    crops = []
    for number in numbers:
        face, judge = usable[number - 1], Judge(force)
        eyes = size(face)
        if purpose == "enrol":
            judge(check_size, eyes, ENROL_EYES, where)
            judge(check_whole, face.landmarks, height, width, where)
        check_size(eyes, PROBE_EYES, where)
        if which != "any" and (turns := turn(image, face)):
            raise _turned(where, turns)
        warp = warp_of(face.landmarks, height, width)
        pixels = apply(warp, image)
        if purpose == "enrol":
            judge(check_turned, face.landmarks, where)
            _judge_crop(judge, pixels, inside(warp, height, width), where)
        again, overridden = (height, width) in SIZES, tuple(judge.overridden)
        crops.append(Crop(pixels, face, number, len(usable), again, overridden))
    return tuple(crops)


def _turn_with_a_face(image: NDArray[np.uint8]) -> int:
    """The quarter turn to the left, 1 to 3, that shows the surest face large enough for a probe; 0 where none does."""
    import numpy as np

    faces = [
        (f.score, turns)
        for turns in (1, 2, 3)
        for f in detect(np.rot90(image, turns), SIDES[:2])
        if size(f) >= PROBE_EYES
    ]
    return max(faces)[1] if faces else 0


def _turned(where: str, turns: int) -> UserError:
    return UserError(
        where, "face is not upright", "a photo the right way up", f"one to be turned left by {90 * turns}°"
    )
