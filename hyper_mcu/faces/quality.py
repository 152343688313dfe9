"""Is a face good enough: large enough for its purpose; whole, from the front, lit and sharp enough to enrol."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import ARCFACE_TEMPLATE, umeyama
from hyper_mcu.faces.detect import Face

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENROL_EYES = 20  # `size` of an enrolment photo
PROBE_EYES = 12  # `size` of a probe
# Measured with scrfd-500m and mbf-w600k. Kept: all 5,000 frontal CFP crops (least 0.76) and all 2,000 profiles (0.59);
# the 88 whole frontal photos of CFP at hand (0.94), reduced to 20 pixels between the eyes (0.68), and then JPEG at 75
# (0.67). Refused: every blurred copy of those 88 whose embedding is useless (cosine to the sharp one below 0.5), of
# Gaussian 3 to 5 crop pixels (0.27 at most), then JPEG at 60 (0.30), smear over 9 or 15 crop pixels across (0.35) and
# down (0.49). In between, 34 % of Gaussian 1.5 (median cosine 0.88) and 98 % of Gaussian 2 (0.77) are refused.
SHARP = 0.5
# Grey levels between the darkest and the brightest twentieth of a crop. Least of 1,500 CFP crops 52, of 3,000 training
# crops 46; a portrait at a twelfth of its light 14.
SPREAD = 30
DIAGONAL = 0.75  # a diagonal step is longer, so its ratio is larger in the same picture
# Measured with scrfd-500m (benchmarks/quality.py): up to 0.25 nets of held-out people err no more than those from the
# front, from there on more. Kept: all 1,000 frontal CFP crops, 4 of 996 profiles in which a face is found.
TURNED = 0.25

P = ParamSpec("P")


class Judge:
    """Makes checks of an enrolment photo. What one refuses is raised or, where `force` is set, kept in `overridden`."""

    def __init__(self, force: bool = False) -> None:
        self.force, self.overridden = force, list[UserError]()

    def __call__(self, check: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """Makes a check, which raises UserError for what it refuses."""
        try:
            check(*arguments, **named)
        except UserError as e:
            if not self.force:
                raise
            self.overridden.append(e)


def size(face: Face) -> float:
    """Pixels between the eyes, or, of a face turned aside, what they would be from the front, by all five landmarks."""
    import numpy as np

    (x0, y0), (x1, y1) = ARCFACE_TEMPLATE[:2]
    return max(face.eye_distance, float(np.hypot(x1 - x0, y1 - y0) / np.hypot(*umeyama(face.landmarks)[:, 0])))


def check_size(eyes: float, minimum: int, where: object) -> None:
    """Raises UserError where the eyes are less than `minimum` pixels apart."""
    if eyes < minimum:
        raise UserError(where, f"eyes {int(eyes)} px apart", f"at least {minimum}", int(eyes))


def check_sharp(crop: NDArray[np.uint8], inside: NDArray[np.bool_], where: object) -> None:
    """Raises UserError where a crop uint8 (112, 112, 3) is blurred; inside: see `sharpness`."""
    found = sharpness(crop, inside)
    if found < SHARP:
        raise UserError(
            where, "face is blurred", f"a sharpness of at least {SHARP:.2f}", f"{int(found * 100) / 100:.2f}"
        )


def check_whole(landmarks: NDArray[np.float32], height: int, width: int, where: object) -> None:
    """Raises UserError where a landmark (5, 2) lies outside a photo of that size: the face is cut off."""
    import numpy as np

    names = ("left eye", "right eye", "nose", "left corner of the mouth", "right corner of the mouth")
    last = np.array([width, height]) - 1
    missing = [name for name, at in zip(names, landmarks, strict=True) if (at < 0).any() or (at > last).any()]
    if missing:
        raise UserError(where, "face is cut off", "eyes, nose and mouth in the photo", f"no {', no '.join(missing)}")


def turned(landmarks: NDArray[np.float32]) -> float:
    """How far a face is turned aside, by its landmarks (5, 2): 0 from the front, about 0.4 in profile.

    The distance, along the line of eyes and mouth from side to side, of the nose from the middle between eyes and
    corners of the mouth, over the distance of eyes and mouth, which a turn does not shorten. A tilt cancels.
    """
    import numpy as np

    left, right, nose, mouth_left, mouth_right = (complex(x, y) for x, y in np.asarray(landmarks, np.float64))
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    down = mouth - eyes
    off = (nose - (eyes + mouth) / 2) / down if down else 0j  # in units of that distance, and turned upright
    return abs(off.imag)


def check_turned(landmarks: NDArray[np.float32], where: object) -> None:
    """Raises UserError where a face with these landmarks (5, 2) is turned aside."""
    found = turned(landmarks)
    if found > TURNED:
        raise UserError(where, "face is turned aside", f"the nose at most {TURNED:.2f} off the middle", f"{found:.2f}")


def check_norm(norm: float, least: float, where: object) -> None:
    """Raises UserError where the embedding of a crop is shorter than `least`, 0 for a backbone that cannot tell."""
    if norm < least:
        raise UserError(
            where,
            "backbone sees little of a face",
            f"an embedding at least {least:.1f} long",
            f"{int(norm * 10) / 10:.1f}",
        )


def check_light(crop: NDArray[np.uint8], inside: NDArray[np.bool_], where: object) -> None:
    """Raises UserError where a crop uint8 (112, 112, 3) is nearly black, nearly white or without contrast."""
    import numpy as np

    dark, bright = np.percentile(luminance(crop)[inside], [5, 95])
    if bright - dark < SPREAD:
        what = "too dark" if bright < 128 else "too bright" if dark > 128 else "without contrast"
        raise UserError(
            where, f"face is {what}", f"at least {SPREAD} grey levels from dark to bright", int(bright - dark)
        )


def luminance(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luminance float32 (H, W) of RGB uint8 (H, W, 3), 0…255, by the weights of ITU-R BT.601."""
    import numpy as np

    y: NDArray[np.float32] = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return y


def sharpness(crop: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """Energy of the second differences over that of the first in the direction where this is least; 0 for a flat crop.

    crop: uint8 (112, 112, 3) RGB, of which only what is `inside` the photo, bool (112, 112), is looked at: the edge of
    the black around it is always sharp. Taken on the luminance at half size, where noise and JPEG blocks count little.
    Contrast cancels; the least of four directions sees motion blur too.
    """
    import numpy as np

    def half(x: NDArray[np.float32]) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = x.reshape(56, 2, 56, 2).mean((1, 3))
        return mean

    y = half(luminance(crop))
    seen = half(inside.astype(np.float32))

    def moved(x: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
        return x[1 + down : 55 + down, 1 + right : 55 + right]

    use = np.minimum.reduce([moved(seen, d, r) for d in (-1, 0, 1) for r in (-1, 0, 1)]) == 1
    ratios = []
    for down, right, weight in ((0, 1, 1.0), (1, 0, 1.0), (1, 1, DIAGONAL), (1, -1, DIAGONAL)):
        before, here, after = (moved(y, k * down, k * right)[use] for k in (-1, 0, 1))
        first = ((here - before) ** 2).sum() + ((after - here) ** 2).sum()
        second = ((before + after - 2 * here) ** 2).sum()
        ratios.append(weight * 2 * float(second) / float(first) if first > 0 else 0.0)
    return min(ratios)
