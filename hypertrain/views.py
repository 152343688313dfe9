"""Views of a set's images, made once and shown to the teacher too: what a net is taught of a picture is what the
backbone says of that very picture, not of the clean one it was made from (Beyer et al. 2022, Knowledge distillation: a
good teacher is patient and consistent).

A view is one aligned crop, or a blend of those of two people, which is a face of nobody, even or put together of parts
of both; turned aside by some angle as an ellipsoid with a nose would be; seen through a camera that blurs, compresses
and adds noise. Views and what the backbone makes of them are mapped from the cache. Whatever happens to a view depends
on the seed and its number alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, counting, silent
from hyper_mcu.faces.align import ARCFACE_TEMPLATE, SIDE, umeyama
from hyper_mcu.hypertrain import augment, sampling
from hyper_mcu.hypertrain.data import Crops, Faces
from hyper_mcu.hypertrain.data.embeddings import Embedder, ahead
from hyper_mcu.hypertrain.data.locks import locked
from hyper_mcu.hypertrain.settings import at_least, share

Image = NDArray[np.uint8]
BATCH = 128
HALF_WIDTH, DEPTH, HALF_HEIGHT, CENTRE = 44.0, 52.0, 80.0, (56.0, 64.0)  # of the head, in pixels of the crop
NOSE, NOSE_AT, NOSE_SPREAD = 14.0, (56.0, 70.0), (6.0, 11.0)


@dataclass(frozen=True)
class Settings:
    """How views are made. each: of every image, 0 for none; parts: share of the blends that take some places of a face
    from one person and the others from the other; half: the backbone looks at views in bfloat16, which some processors
    do several times as fast; the others are shares of the views."""

    each: int = 0
    blended: float = 0.5
    parts: float = 0.0
    turned: float = 0.3
    yaw: float = 50.0  # degrees, the largest
    camera: float = 0.5  # of each defect a part of these
    half: bool = False

    def __post_init__(self) -> None:
        at_least("views", self, each=0, yaw=0)
        share("views", self, "blended", "parts", "turned", "camera")


@dataclass(frozen=True)
class Views:
    """Views, V in all. crops uint8 (V, 112, 112, 3); teacher float16 (V, d): what the backbone says of each, unit
    vectors; first, second int64 (V,): the images, of those that the views were made of, that each shows; weight float32
    (V,): of the first."""

    crops: Crops
    teacher: NDArray[np.float16]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float32]

    @cached_property
    def _by_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Views in the order of the image that each shows first, and these images."""
        order = np.argsort(self.first, kind="stable")
        return order, self.first[order]

    def of(self, images: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A random view of each of so many images (N,): one that it is first in."""
        order, first = self._by_image
        begin, end = (np.searchsorted(first, images, side) for side in ("left", "right"))
        return order[begin + (rng.random(len(images)) * (end - begin)).astype(np.int64)]


def plan(count: int, c: Settings, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """`first`, `second`, `weight` of the views of `count` images, in `each` rounds of every image first in one: more
    rounds begin with the same views."""
    first = np.arange(count)
    seconds, weights = [first[:0]], [np.zeros(0)]
    for r in range(c.each):
        rng = sampling.rng(seed, r, "views")
        second = np.where(rng.random(count) < c.blended, rng.integers(0, count, count), first)
        seconds.append(second)
        weights.append(np.where(second == first, 1.0, rng.uniform(0.5, 0.9, count)))
    return np.tile(first, c.each), np.concatenate(seconds), np.concatenate(weights).astype(np.float32)


def view_of(one: Image, other: Image | None, weight: float, c: Settings, rng: np.random.Generator) -> Image:
    """The view uint8 (112, 112, 3) of a crop (S, S, 3), or of a blend of two."""
    if other is not None:
        other = other[:, ::-1] if rng.random() < 0.5 else other
        if rng.random() < c.parts:
            one = parts_of(one, other, weight, rng)
        else:
            one = cv2.addWeighted(one, weight, np.ascontiguousarray(other), 1 - weight, 0)  # type: ignore[assignment]
    if rng.random() < c.turned:
        one = turned(one, np.deg2rad(rng.uniform(-c.yaw, c.yaw)))
    return through_camera(lit(augment.view(one, rng), rng), c.camera, rng)


def parts_of(one: Image, other: Image, weight: float, rng: np.random.Generator) -> Image:
    """A crop (S, S, 3) that is `one` in about a share `weight` of its area and `other` elsewhere, with soft borders."""
    rough = rng.standard_normal((4, 4))
    field = cv2.resize(rough, one.shape[:2], interpolation=cv2.INTER_CUBIC)
    mask = 1 / (1 + np.exp((np.quantile(field, 1 - weight) - field) / 0.15))
    return np.rint(other + mask[..., None] * (one.astype(np.float64) - other)).astype(np.uint8)


def turned(crop: Image, yaw: float) -> Image:
    """A crop (S, S, 3) as if the head had been turned by `yaw` radians and been aligned again.

    The head is an ellipsoid with a bump for the nose; what turns away behind its edge is hidden, what comes into sight
    beyond the photo's edge of the face repeats what lies there.
    """
    side, margin = crop.shape[0], (crop.shape[0] - SIDE) / 2
    x = np.arange(-margin, SIDE + margin, 0.5)
    table = np.empty((side, 4 * SIDE), np.float32)
    seen = np.linspace(-SIDE, 2 * SIDE, 4 * SIDE, dtype=np.float32)  # places on the turned picture
    for row in range(side):
        to = _rotated(x, np.float64(row - margin), yaw)
        order = np.maximum.accumulate(to) if yaw < 0 else np.minimum.accumulate(to[::-1])[::-1]
        order = order + 1e-6 * np.arange(len(order))
        table[row] = np.interp(seen, order, x, left=np.nan, right=np.nan)
        lowest, highest = order[0], order[-1]
        table[row] = np.where(seen < lowest, x[0] + seen - lowest, table[row])
        table[row] = np.where(seen > highest, x[-1] + seen - highest, table[row])
    points = np.array(ARCFACE_TEMPLATE)
    moved = np.stack([[_rotated(px, py, yaw) for px, py in points], points[:, 1]], 1)
    m = umeyama(moved.astype(np.float32))  # turned picture to crop
    inverse = np.linalg.inv(np.vstack([m, [0, 0, 1]]))
    v, u = np.mgrid[-margin : SIDE + margin, -margin : SIDE + margin].astype(np.float32)
    at_x = (inverse[0, 0] * u + inverse[0, 1] * v + inverse[0, 2]).astype(np.float32)
    at_y = (inverse[1, 0] * u + inverse[1, 1] * v + inverse[1, 2]).astype(np.float32)
    column = (at_x + SIDE) * (4 * SIDE - 1) / (3 * SIDE)
    from_x = cv2.remap(table, column, at_y + np.float32(margin), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(  # type: ignore[return-value]
        crop, from_x + np.float32(margin), at_y + np.float32(margin), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _rotated(x: NDArray[np.float64], y: np.float64, yaw: float) -> NDArray[np.float64]:
    """Where points (x, y) of the face lie in x once the head is turned; beyond its edge everything moves with that."""
    size = np.sqrt(max(0.05, 1 - ((y - CENTRE[1]) / HALF_HEIGHT) ** 2))
    a, d = HALF_WIDTH * size, DEPTH * size
    from_centre = x - CENTRE[0]
    inside = np.clip(from_centre, -a, a)
    z = d * np.sqrt(np.maximum(0.0, 1 - (inside / a) ** 2))
    z = z + NOSE * np.exp(-(((x - NOSE_AT[0]) / NOSE_SPREAD[0]) ** 2) - ((y - NOSE_AT[1]) / NOSE_SPREAD[1]) ** 2)
    return CENTRE[0] + inside * np.cos(yaw) + z * np.sin(yaw) + (from_centre - inside)


def lit(image: Image, rng: np.random.Generator) -> Image:
    """Random contrast, brightness and colour cast as `augment.relight`, and for some light from one side."""
    gain = 1 + augment.CONTRAST * rng.standard_normal()
    lift = augment.BRIGHTNESS * rng.standard_normal() + augment.COLOUR * rng.standard_normal(3)
    x = (image.astype(np.float32) - 128) * gain + 128 + lift
    if rng.random() < 0.25:
        angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.7)
        v, u = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
        x = x * (1 - depth * (0.5 + 0.5 * (np.cos(angle) * u + np.sin(angle) * v))[..., None])
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def grey(image: Image) -> Image:
    """An image (H, W, 3) in three equal colours."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)


def through_camera(image: Image, share: float, rng: np.random.Generator) -> Image:
    """An image with some of the defects that cameras and their links have, each with a chance of a part of `share`."""

    def low(x: Image) -> Image:
        size = int(rng.integers(28, 80))
        small = cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]

    def blurred(x: Image) -> Image:
        return cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.0))  # type: ignore[return-value]

    def dragged(x: Image) -> Image:
        kernel = np.zeros((9, 9), np.float32)
        angle, length = rng.uniform(0, np.pi), rng.uniform(1, 4)
        end = (round(4 + length * np.cos(angle)), round(4 + length * np.sin(angle)))
        cv2.line(kernel, (8 - end[0], 8 - end[1]), end, 1.0)
        return cv2.filter2D(x, -1, kernel / kernel.sum())  # type: ignore[return-value]

    def noisy(x: Image) -> Image:
        noise = rng.standard_normal(x.shape, np.float32) * rng.uniform(2, 12)
        return np.clip(np.rint(x + noise), 0, 255).astype(np.uint8)

    def rgb565(x: Image) -> Image:
        r, g, b = (x[..., k] >> drop for k, drop in ((0, 3), (1, 2), (2, 3)))
        return np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], -1)

    def covered(x: Image) -> Image:
        x, (w, h) = x.copy(), rng.integers(12, 44, 2)
        left, top = rng.integers(0, SIDE - w), rng.integers(0, SIDE - h)
        x[top : top + h, left : left + w] = rng.integers(0, 256, 3)
        return x

    def compressed(x: Image) -> Image:
        data = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))])[1]
        return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]

    defects: tuple[tuple[float, Callable[[Image], Image]], ...] = (
        (0.2, grey), (0.3, covered), (0.5, low), (0.3, blurred), (0.2, dragged), (0.5, noisy), (0.3, rgb565),
        (0.5, compressed),
    )  # fmt: skip
    for chance, defect in defects:
        if rng.random() < chance * share:
            image = np.ascontiguousarray(defect(image))
    return image


def stored(
    faces: Faces,
    rows: NDArray[np.int64],
    backbone: Embedder,
    c: Settings,
    seed: int,
    cache: Path,
    progress: Progress = silent,
) -> Views:
    """The views of the images `rows`, made where the cache has none: 37.6 KB and one run of the backbone each. A call
    for more of each image adds to what is there, one after an interruption goes on where that was. Processes that want
    the same take turns."""
    first, second, weight = plan(len(rows), c, seed)
    how = asdict(replace(c, each=0))
    said = json.dumps([faces.sha256, backbone.sha256, rows.tolist(), how, seed], sort_keys=True)
    stem = cache / f"views-{hashlib.sha256(said.encode()).hexdigest()[:24]}"
    kinds = ((".rgb", np.uint8, (len(first), SIDE, SIDE, 3)), (".f16", np.float16, (len(first), faces.dimension)))

    def mapped(mode: Literal["r", "r+", "w+"]) -> list[Any]:
        return [np.memmap(stem.with_suffix(suffix), kind, mode, shape=shape) for suffix, kind, shape in kinds]

    def view(i: int) -> Image:
        other = None if second[i] == first[i] else faces.crops[int(rows[second[i]])]
        return view_of(faces.crops[int(rows[first[i]])], other, float(weight[i]), c, sampling.rng(seed, i, "view"))

    cache.mkdir(parents=True, exist_ok=True)
    with locked(stem.with_suffix(".lock")):
        there = all(stem.with_suffix(suffix).exists() for suffix, _, _ in kinds)
        done = _done(stem) if there else 0
        if done < len(first):
            _check_room(stem.parent, (len(first) - done) * (SIDE * SIDE * 3 + 2 * faces.dimension))
            crops, teacher = mapped("r+" if there else "w+")
            _fill(crops, teacher, done, stem, view, backbone, progress)
    crops, teacher = mapped("r")
    return Views(crops, teacher, rows[first], rows[second], weight)


def _check_room(folder: Path, need: int) -> None:
    """Raises UserError where a folder's disk has no room for so many bytes: a map of a full disk ends the process."""
    if (free := shutil.disk_usage(folder).free) < need:
        raise UserError(
            folder, "no room for the views; fewer by views.each", f"{need / 1e9:.1f} GB", f"{free / 1e9:.1f} GB free"
        )


def _done(stem: Path) -> int:
    """How many views are there."""
    path = stem.with_suffix(".count")
    return int(path.read_text()) if path.exists() else 0


def _fill(
    crops: NDArray[np.uint8],
    teacher: NDArray[np.float16],
    start: int,
    stem: Path,
    view: Callable[[int], Image],
    backbone: Embedder,
    progress: Progress,
) -> None:
    tell = counting(progress, "views and their embeddings", len(crops))

    def batch(at: int) -> Image:
        return np.stack([view(i) for i in range(at, min(at + BATCH, len(crops)))])

    for n, (at, x) in enumerate(ahead(batch, range(start, len(crops), BATCH)), 1):
        e, end = backbone.embed(x)[:, : teacher.shape[1]], at + len(x)
        crops[at:end], teacher[at:end] = x, e / np.linalg.norm(e, axis=1, keepdims=True)
        if n % 16 == 0 or end == len(crops):
            files.write(stem.with_suffix(".count"), str(end))
            tell(end)
