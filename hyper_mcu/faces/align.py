"""One aligner: five landmarks to the 112×112 crop, in integers, the same for enrolment, evaluation and device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 112
ARCFACE_TEMPLATE = (  # x, y in the crop: left eye, right eye, nose, corners of the mouth (InsightFace, arcface_dst)
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
Coefficients = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Warp:
    """Where each pixel of a crop lies in a picture that has been halved `halvings` times.

    q16: (a, b, c, d, e, f) in 1/65536 pixel; crop pixel (u, v) lies at x = a·u + b·v + c, y = d·u + e·v + f.
    """

    halvings: int
    q16: Coefficients


def umeyama(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """The similarity float64 (2, 3) that takes landmarks (5, 2) nearest to ARCFACE_TEMPLATE, in least squares.

    Rotation, scale and shift, no reflection: Umeyama 1991, equations 40 to 43, whose closed form in the plane is one
    complex quotient. Raises ValueError where all landmarks are one point.
    """
    import numpy as np

    source, target = np.asarray(landmarks, np.float64), np.array(ARCFACE_TEMPLATE)
    mean, goal = source.mean(0), target.mean(0)
    x, y = (source - mean) @ [1, 1j], (target - goal) @ [1, 1j]
    spread = (abs(x) ** 2).sum()
    if spread == 0:
        raise ValueError("landmarks: expected five points apart, got one point")
    turn = (x.conj() * y).sum() / spread
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, goal - linear @ mean])


def warp_of(landmarks: NDArray[np.float32], height: int, width: int) -> Warp:
    """The Warp of a face in a picture of that size: halved until a crop pixel is less than two of its pixels wide.

    Halving takes pixel centre x to (x − 1/2)/2. Coefficients are rounded to the nearest, halves to even.
    """
    import numpy as np

    to_crop = umeyama(landmarks)
    linear = np.linalg.inv(to_crop[:, :2])
    shift = -linear @ to_crop[:, 2]
    halvings, scale = 0, float(np.hypot(linear[0, 0], linear[1, 0]))
    while scale >= 2 and min(height, width) >> (halvings + 1) > 0:
        linear, shift, scale, halvings = linear / 2, (shift - 0.5) / 2, scale / 2, halvings + 1
    a, b, c, d, e, f = (int(v) for v in np.rint(np.column_stack([linear, shift]) * 65536).ravel())
    return Warp(halvings, (a, b, c, d, e, f))


def apply(warp: Warp, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crop uint8 (112, 112, 3) of a picture uint8 (H, W, 3). Integers only; this is the definition:

    1. `halvings` times: the picture becomes ⌊H/2⌋×⌊W/2⌋, each pixel (p00 + p01 + p10 + p11 + 2) >> 2 of its 2×2 square;
       an odd last row or column is dropped.
    2. For crop pixel (u, v), shifts being arithmetic: X = (a·u + b·v + c + 128) >> 8, in 1/256 pixel; column
       i = X >> 8, weight r = X & 255. Y, j and s likewise from d, e, f.
    3. With p(j, i) the pixel at row j and column i, 0 outside the picture:
       top = p(j, i)·(256 − r) + p(j, i+1)·r, bottom = p(j+1, i)·(256 − r) + p(j+1, i+1)·r,
       crop pixel = (top·(256 − s) + bottom·s + 32768) >> 16.

    Step 3 stays below 2^24 + 2^15. Step 2 fits int32 where all places are within ±32,767 pixels.
    """
    import numpy as np

    x, y = _places(warp)
    i, r, j, s = x >> 8, x & 255, y >> 8, y & 255
    height, width = (side >> warp.halvings for side in image.shape[:2])
    # only what the crop touches is halved, with a black pixel around it that stands for all that lies outside
    x0, x1 = np.clip([i.min(), i.max() + 2], 0, width)
    y0, y1 = np.clip([j.min(), j.max() + 2], 0, height)
    part = image[y0 << warp.halvings : y1 << warp.halvings, x0 << warp.halvings : x1 << warp.halvings]
    for _ in range(warp.halvings):
        part = _halve(part)
    p = np.pad(part.astype(np.int32), ((1, 1), (1, 1), (0, 0)))

    def at(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int32]:
        taps: NDArray[np.int32] = p[(rows - y0 + 1).clip(0, p.shape[0] - 1), (columns - x0 + 1).clip(0, p.shape[1] - 1)]
        return taps

    r, s = r[..., None], s[..., None]
    top = at(j, i) * (256 - r) + at(j, i + 1) * r
    bottom = at(j + 1, i) * (256 - r) + at(j + 1, i + 1) * r
    crop: NDArray[np.uint8] = ((top * (256 - s) + bottom * s + 32768) >> 16).astype(np.uint8)
    return crop


def align(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The crop uint8 (112, 112, 3) of the face with these landmarks (5, 2) in a picture uint8 (H, W, 3)."""
    return apply(warp_of(landmarks, *image.shape[:2]), image)


def inside(warp: Warp, height: int, width: int) -> NDArray[np.bool_]:
    """Which pixels of the crop, bool (112, 112), come from four pixels of the picture and not from the black around."""
    x, y = (p >> 8 for p in _places(warp))
    found: NDArray[np.bool_] = (
        (x >= 0) & (y >= 0) & (x + 1 < width >> warp.halvings) & (y + 1 < height >> warp.halvings)
    )
    return found


def _places(warp: Warp) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """X and Y of step 2, int64 (112, 112) each."""
    import numpy as np

    a, b, c, d, e, f = warp.q16
    u = np.arange(SIDE, dtype=np.int64)
    v = u[:, None]
    return (a * u + b * v + c + 128) >> 8, (d * u + e * v + f + 128) >> 8


def _halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import numpy as np

    height, width = (side // 2 * 2 for side in image.shape[:2])
    rows = image[0:height:2].astype(np.uint16) + image[1:height:2]
    return ((rows[:, 0:width:2] + rows[:, 1:width:2] + 2) >> 2).astype(np.uint8)
