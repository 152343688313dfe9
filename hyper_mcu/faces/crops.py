"""From a photo to aligned crops: read → detect → choose → check → align."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import apply, inside, warp_of
from hyper_mcu.faces.detect import Face, detect
from hyper_mcu.faces.photo import read_photo
from hyper_mcu.faces.quality import ENROL_EYES, PROBE_EYES, check_sharp, check_size, size
from hyper_mcu.faces.select import Purpose, choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Crop:
    """An aligned face: pixels uint8 (112, 112, 3) RGB; the face it shows and its number in the photo."""

    pixels: NDArray[np.uint8]
    face: Face
    number: int


def face_crops(path: Path, which: str | None, purpose: Purpose) -> tuple[Crop, ...]:
    """The crops of the meant faces of a photo, in order of their numbers; more than one only if which is "any".

    Faces of a size below 12 pixels are of no use to anybody: they have no number and are not in the way.
    Raises UserError for a bad file, no face, several faces without `which`, faces too small or, at enrolment, blurred.
    """
    where = str(path)
    image = read_photo(path)
    found = detect(image)
    if not found:
        import numpy as np

        for turn in (1, 3, 2):
            if detect(np.rot90(image, turn)):
                raise UserError(
                    where, "no upright face", "a photo the right way up", f"one to be turned left by {90 * turn}°"
                )
    usable = [f for f in found if size(f) >= PROBE_EYES]
    numbers = choose(usable or found[:1], which, where, purpose)
    crops = []
    for number in numbers:
        face = (usable or found)[number - 1]
        if purpose == "enrol":
            check_size(face.eye_distance, ENROL_EYES, where)
        else:
            check_size(size(face), PROBE_EYES, where)
        warp = warp_of(face.landmarks, *image.shape[:2])
        pixels = apply(warp, image)
        if purpose == "enrol":
            check_sharp(pixels, inside(warp, *image.shape[:2]), where)
        crops.append(Crop(pixels, face, number))
    return tuple(crops)
