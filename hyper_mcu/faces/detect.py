"""Faces of a picture: SCRFD-500M (Guo et al., "Sample and Computation Redistribution", 2021), five landmarks each."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

STRIDES = (8, 16, 32)
SURE = 0.5  # score of a sure face
OVERLAP = 0.4  # intersection over union above which two detections are one face
COVERED = 0.7  # part of the smaller box inside a better one above which they are one face (an ear, a mouth and a chin)
# The net finds faces of 10 to 150 pixels between the eyes (88 CFP photos: all of them at 16 to 120, 94 % at 12, 84 % at
# 160, none at 200), so a picture is looked at with its longer side in each of these sizes. Enlarging twice finds all of
# them at 10 pixels too; more finds no more.
SIDES = (192, 768, 3072)
MAX_SCALE = 2.0
PATCH = 160  # pixels, twice as wide as the face: how large `turn` looks at it
# The last size costs 20 times the others together. It is left out where the second shows a face with eyes so far apart:
# what only the last would find is then less than a quarter of that face's size.
NEAR = 48.0


@dataclass(frozen=True)
class Face:
    """A found face, in pixels of the picture, (0, 0) the centre of the first.

    box: (x0, y0, x1, y1); landmarks: float32 (5, 2), left eye, right eye, nose, left and right corner of the mouth as
    the picture shows them; score: 0.5 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float

    @property
    def eye_distance(self) -> float:
        """Pixels between the centres of the eyes."""
        dx, dy = self.landmarks[1] - self.landmarks[0]
        return math.hypot(dx, dy)

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


def detect(image: NDArray[np.uint8], sides: tuple[int, ...] = SIDES) -> tuple[Face, ...]:
    """The sure faces of a picture uint8 (H, W, 3) RGB, largest box first, looked at in those sizes."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(image)
    rows = np.empty((0, 15), np.float32)  # score, box, landmarks
    scales = sorted({min(side / max(picture.size), MAX_SCALE) for side in sides})
    for i, scale in enumerate(scales):
        if i == 2 and len(rows) and scales[1] * _eyes(rows).max() >= NEAR:
            break
        rows = _suppress(np.concatenate([rows, _look(picture, scale)]))
    faces = [
        Face((float(r[1]), float(r[2]), float(r[3]), float(r[4])), r[5:].reshape(5, 2).copy(), float(r[0]))
        for r in rows
    ]
    return tuple(sorted(faces, key=lambda f: -f.area))


def _eyes(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    distance: NDArray[np.float32] = np.hypot(rows[:, 7] - rows[:, 5], rows[:, 8] - rows[:, 6])
    return distance


def turn(image: NDArray[np.uint8], face: Face) -> int:
    """By how many quarter turns to the left the net is surest of a face that it has found: 0 for an upright one.

    It finds three of four faces that lie on their side or stand on their head too, with landmarks in wrong places. Of
    90 frontal photos, turned in four ways, and 59 profiles it never preferred a wrong turn (least lead 0.07 in score).
    """
    import numpy as np
    from PIL import Image

    x0, y0, x1, y1 = face.box
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0)
    around = (round(x - half), round(y - half), round(x + half), round(y + half))
    patch = Image.fromarray(image).crop(around).resize((PATCH, PATCH), Image.Resampling.BILINEAR)
    turned = [Image.fromarray(np.rot90(np.asarray(patch), k)) for k in range(4)]
    return int(np.argmax([_look(p, 1.0)[:, 0].max(initial=0) for p in turned]))


@functools.cache
def _session() -> Any:
    from hyper_mcu.faces.weights import locate
    from hyper_mcu.inference import session

    return session(locate("scrfd-500m"))


def _look(picture: Image.Image, scale: float) -> NDArray[np.float32]:
    """Candidates float32 (N, 15), in pixels of the picture, that the net sees in it at one scale."""
    import numpy as np
    from PIL import Image

    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    x = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
    x[0, :, :height, :width] = np.asarray(small).transpose(2, 0, 1)
    x -= 127.5
    x /= 128
    session = _session()
    outputs = session.run(None, {session.get_inputs()[0].name: x})  # score, box, landmarks, each at three strides
    found = []
    for i, stride in enumerate(STRIDES):
        score, box, points = (outputs[i + 3 * k].reshape(-1, n) for k, n in enumerate((1, 4, 10)))
        sure = np.flatnonzero(score[:, 0] > SURE)
        places = sure // 2  # two anchors a place, row by row
        centre = np.stack(np.divmod(places, x.shape[3] // stride)[::-1], 1).astype(np.float32)
        # the net gives distances from the centre in strides: to the four sides of the box, and to the landmarks
        sides = np.tile(centre, 2) + box[sure] * np.array([-1, -1, 1, 1], np.float32)
        xy = np.concatenate([sides, np.tile(centre, 5) + points[sure]], 1) * stride / scale
        found.append(np.concatenate([score[sure], xy], 1))
    return np.concatenate(found).astype(np.float32)


def _suppress(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The best of each group of detections of one face."""
    import numpy as np

    rest, kept = rows[np.argsort(-rows[:, 0], kind="stable")], []
    area = (rest[:, 3] - rest[:, 1]) * (rest[:, 4] - rest[:, 2])
    while len(rest):
        best = rest[0]
        kept.append(best)
        sides = np.minimum(best[3:5], rest[:, 3:5]) - np.maximum(best[1:3], rest[:, 1:3])
        common = sides.clip(0).prod(1)
        same = (common > OVERLAP * (area[0] + area - common)) | (common > COVERED * np.minimum(area[0], area))
        same[0] = True
        rest, area = rest[~same], area[~same]
    return np.array(kept, np.float32).reshape(-1, 15)
