"""The twin of firmware/device/hm_image: frames of a camera, warps and searches, in the same integers (CAMERA.md).

A crop is `faces.align.apply` of a frame that has been made RGB: there is one warp. Frames are uint8 (H, W·bytes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from hyper_mcu.faces.align import ARCFACE_TEMPLATE, Warp, apply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# hm_format in order: its name here, and the bytes of a pixel
FORMATS = {"rgb565-big": 2, "rgb565-little": 2, "rgb888": 3, "bgr888": 3, "yuyv": 2, "uyvy": 2, "grey": 1}
PAIRS = {"yuyv": (0, 1, 3), "uyvy": (1, 0, 2)}  # offsets of the first Y, of U and of V in the four bytes of two pixels
LARGEST = 4096  # pixels of a side
FARTHEST = 1 << 17  # of a place, in 1/16 pixel to any side
TEMPLATE = tuple((round(x * 10_000), round(y * 10_000)) for x, y in ARCFACE_TEMPLATE)
TEMPLATE_EYES = 352_377  # between the eyes, in 1/10000
MIDWAY = (2_795_660, 2_579_943)  # between the eyes, in 1/50000
INT32 = range(-(1 << 31), 1 << 31)
Point = tuple[int, int]  # x, y in 1/16 pixel from the centre of the first pixel


@dataclass(frozen=True)
class Search:
    """hm_search: steps to each side, and what a step is: crop pixels, 1/64 of the size, 1/64 radian."""

    shifts: int = 0
    scales: int = 0
    tilts: int = 0
    shift: int = 0
    scale: int = 0
    tilt: int = 0

    @property
    def cost(self) -> int:
        """Verifications that it takes; 0 where it is out of bounds."""
        spans = ((self.shifts, self.shift, 112), (self.scales, self.scale, 32), (self.tilts, self.tilt, 64))
        if any(steps and not 0 < steps * step <= most for steps, step, most in spans):
            return 0
        return (2 * self.shifts + 1) ** 2 * (2 * self.scales + 1) * (2 * self.tilts + 1)


def rgb_of(frame: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """The picture uint8 (H, W, 3) that a frame uint8 (H, W·bytes) of that format shows.

    Raises ValueError for a side of 0 or above 4096 pixels, and for part of a pixel or of a YUV pair.
    """
    import numpy as np

    height, width = frame.shape[0], frame.shape[1] // FORMATS[kind]
    whole = frame.shape[1] % (4 if kind in PAIRS else FORMATS[kind]) == 0
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST and whole):
        raise ValueError(f"frame: expected sides of 1 to {LARGEST} pixels, whole {kind} pixels; got {frame.shape}")
    if kind.startswith("rgb565"):
        high, low = (0, 1) if kind == "rgb565-big" else (1, 0)
        word = frame[:, high::2].astype(np.uint16) << 8 | frame[:, low::2]
        r, g, b = word >> 11, word >> 5 & 63, word & 31
        return np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], 2).astype(np.uint8)
    if kind in PAIRS:
        first, at_u, at_v = PAIRS[kind]
        y = frame[:, first::2].astype(np.int32)
        u, v = (np.repeat(frame[:, at::4], 2, axis=1).astype(np.int32) - 128 for at in (at_u, at_v))
        chroma = (91_881 * v, -22_554 * u - 46_802 * v, 116_130 * u)
        return np.stack([y + ((c + 32_768) >> 16) for c in chroma], 2).clip(0, 255).astype(np.uint8)
    if kind == "grey":
        return np.repeat(frame[..., None], 3, axis=2)
    rgb = frame.reshape(height, width, 3)
    return rgb if kind == "rgb888" else np.ascontiguousarray(rgb[..., ::-1])


def frame_of(rgb: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """A frame uint8 (H, W·bytes) of that format that shows a picture uint8 (H, W, 3), as near as the format can.

    RGB565: the nearest of 32 or 64 levels. YUV: BT.601 of full range, U and V the means of two pixels; an odd last
    column is left out. Grey: that Y.
    """
    import numpy as np

    height, width = rgb.shape[:2]
    if kind.startswith("rgb565"):
        high, mid, low = ((rgb[..., c].astype(np.uint32) * most + 127) // 255 for c, most in enumerate((31, 63, 31)))
        word = (high << 11 | mid << 5 | low).astype(">u2" if kind == "rgb565-big" else "<u2")
        return word.view(np.uint8).reshape(height, 2 * width)
    if kind in PAIRS or kind == "grey":
        r, g, b = (rgb[..., c].astype(np.int32) for c in range(3))
        y = (19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16
        if kind == "grey":
            return y.astype(np.uint8)
        frame = np.empty((height, width // 2 * 4), np.uint8)
        first, at_u, at_v = PAIRS[kind]
        frame[:, first::2] = y[:, : width // 2 * 2]
        for at, q17 in (
            (at_u, -11_059 * r - 21_709 * g + 32_768 * b),
            (at_v, 32_768 * r - 27_439 * g - 5_329 * b),
        ):
            mean = q17[:, 0 : width // 2 * 2 : 2] + q17[:, 1 : width // 2 * 2 : 2]
            frame[:, at::4] = (((mean + 65_536) >> 17) + 128).clip(0, 255)
        return frame
    return np.ascontiguousarray(rgb if kind == "rgb888" else rgb[..., ::-1]).reshape(height, 3 * width)


def crop(frame: NDArray[np.uint8], kind: str, warp: Warp) -> NDArray[np.uint8]:
    """The crop uint8 (112, 112, 3) that hm_image_row gives of a frame, row by row."""
    return apply(warp, rgb_of(frame, kind))


def points(landmarks: NDArray[np.float32]) -> list[Point]:
    """Landmarks (5, 2) in pixels as the device is told them: the nearest 1/16."""
    import numpy as np

    return [(int(x), int(y)) for x, y in np.rint(np.asarray(landmarks, np.float64) * 16)]


def warp_of_landmarks(width: int, height: int, landmarks: Sequence[Point]) -> Warp:
    """hm_warp_of_landmarks of a frame of that size. Raises ValueError where it returns HM_CODE_NO_FACE."""
    if len(landmarks) != 5 or not all(_is_near(place) for place in landmarks):
        raise ValueError(f"landmarks: expected five places within 8192 pixels, got {list(landmarks)}")
    sum_x, sum_y = (sum(place[i] for place in landmarks) for i in (0, 1))
    goal_x, goal_y = (sum(place[i] for place in TEMPLATE) for i in (0, 1))
    spread = re = im = 0
    for (mark_x, mark_y), (goal_u, goal_v) in zip(landmarks, TEMPLATE, strict=True):
        x, y, u, v = 5 * mark_x - sum_x, 5 * mark_y - sum_y, 5 * goal_u - goal_x, 5 * goal_v - goal_y
        spread, re, im = spread + x * x + y * y, re + x * u + y * v, im + x * v - y * u
    if spread == 0 or re == im == 0:
        raise ValueError(f"landmarks: expected a face, got {list(landmarks)}")
    # the device's 64 bits: all are brought to 30
    top, most = 625 * spread, max(abs(re), abs(im))
    right_top, right = top.bit_length() - 30, most.bit_length() - 30
    if abs(right_top - right) > 7:
        raise _size(math.sqrt(top**2 / (re**2 + im**2)))
    above, p, q = _shifted(top, right_top), _shifted(abs(re), right), _shifted(abs(im), right)
    whole = above << 32 + right_top - right
    turn = (whole * p // (p * p + q * q) * _sign(re), whole * q // (p * p + q * q) * -_sign(im))
    unit = 625 << 32
    return _warp(turn, (goal_x, goal_y), (sum_x * unit, sum_y * unit), min(width, height))


def warp_of_guide(width: int, height: int, centre: Point, eyes: int) -> Warp:
    """hm_warp_of_guide of a frame of that size. Raises ValueError where it returns HM_CODE_NO_FACE."""
    if not (_is_near(centre) and 0 < eyes <= FARTHEST):
        raise ValueError(f"guide: expected a place within 8192 pixels and an eye distance, got {centre} and {eyes}")
    turn = ((eyes * 10_000 << 32) // (TEMPLATE_EYES * 16), 0)
    unit = 3125 << 32
    return _warp(turn, MIDWAY, (centre[0] * unit, centre[1] * unit), min(width, height))


def moved(around: Warp, x: int, y: int, scale: int, tilt: int) -> Warp:
    """A try of a search: shifted by (x, y) crop pixels, scaled by 1 + scale/64, turned by tilt/64 radian.

    Raises ValueError where a coefficient does not fit 32 bits.
    """
    square = tilt * tilt
    cosine = 65_536 - 8 * square + square * square // 6144
    size = abs(tilt)  # quotients are rounded to 0
    sine = _sign(tilt) * (1024 * size - size * square // 24 + size * square * square // 1_966_080)
    re, im = cosine * (64 + scale) >> 6, sine * (64 + scale) >> 6
    u, v = ((56 + x) << 16) - 56 * (re - im), ((56 + y) << 16) - 56 * (re + im)
    a, b, c, d, e, f = around.q16
    q16 = (
        _turned(a, re, b, im),
        _turned(b, re, a, -im),
        _turned(a, u, b, v) + c,
        _turned(d, re, e, im),
        _turned(e, re, d, -im),
        _turned(d, u, e, v) + f,
    )
    if not all(value in INT32 for value in q16):
        raise ValueError(f"search: expected coefficients of 32 bits, got {q16}")
    return Warp(around.halvings, q16)


def tries(around: Warp, search: Search) -> list[Warp]:
    """The warps of hm_image_search in their order: of equal logits the first one wins.

    Raises ValueError for a search out of bounds and as `moved` does, where the device returns HM_CODE_NO_FACE.
    """
    if not search.cost:
        raise ValueError(f"search: expected steps of 1 or more and spans of 112, 32 and 64, got {astuple(search)}")
    return [
        moved(around, x, y, scale, tilt)
        for tilt in _steps(search.tilts, search.tilt)
        for scale in _steps(search.scales, search.scale)
        for y in _steps(search.shifts, search.shift)
        for x in _steps(search.shifts, search.shift)
    ]


def _steps(steps: int, step: int) -> list[int]:
    """0, −1, 1, −2, 2 … times the step."""
    return [0, *(sign * k * step for k in range(1, steps + 1) for sign in (-1, 1))]


def _warp(turn: tuple[int, int], place: tuple[int, int], to: tuple[int, int], side: int) -> Warp:
    """The warp of a crop pixel's extent in 1/2^32 pixel, which takes template place (1/50000) to `to` (times 2^32)."""
    re, im = turn
    square = (abs(re) >> 12) ** 2 + (abs(im) >> 12) ** 2
    if not 1 << 28 <= square < 1 << 52:
        raise _size(math.sqrt(square) / 2**20)
    shift = (to[0] - (re * place[0] - im * place[1]), to[1] - (im * place[0] + re * place[1]))
    x, y = (abs(value) // 50_000 * _sign(value) for value in shift)
    halvings = 0
    while square >= 1 << 42 + 2 * halvings and side >> (halvings + 1):
        halvings += 1

    def halved(value: int) -> int:
        return (value + (1 << 15 + halvings)) >> 16 + halvings

    a, d, half = halved(re), halved(im), 1 << 31
    return Warp(halvings, (a, halved(-im), halved(x + half) - 32_768, d, a, halved(y + half) - 32_768))


def _is_near(place: Point) -> bool:
    return all(-FARTHEST <= value <= FARTHEST for value in place)


def _size(width: float) -> ValueError:
    return ValueError(f"face: expected crop pixels of 1/64 to 64 pixels of the frame, got {width:g}")


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


def _shifted(value: int, right: int) -> int:
    return value >> right if right >= 0 else value << -right


def _turned(a: int, x: int, b: int, y: int) -> int:
    return (a * x + b * y + 32_768) >> 16
