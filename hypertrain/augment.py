"""Augmented views of crops: one small random similarity and mirror (OpenCV, on bytes), then light."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.hypertrain import sampling
from hyper_mcu.hypertrain.data import CROP, Crops, central

SHIFT, TURN, SCALE = 3.0, 4.0, 0.05  # standard deviations: pixels, degrees, relative
CONTRAST, BRIGHTNESS, COLOUR = 0.15, 20.0, 6.0  # standard deviations: relative, grey levels, grey levels a channel
VIEW = 0x76696577  # keeps the random numbers of views apart from those of other draws of a step


def view(crop: NDArray[np.uint8], rng: np.random.Generator, side: int = CROP) -> NDArray[np.uint8]:
    """A random view uint8 (side, side, 3) of a crop (S, S, 3), S ≥ 112: rotated, scaled, shifted, half of them
    mirrored, then `fit`.

    Where it looks past the crop's edge, which a margin makes rare, the border is repeated.
    """
    angle, s = np.deg2rad(TURN * rng.standard_normal()), 1 + SCALE * rng.standard_normal()
    a, b = s * np.cos(angle), s * np.sin(angle)
    m = np.array([[a, -b, 0.0], [b, a, 0.0]])
    if rng.random() < 0.5:
        m[:, 0] *= -1
    centre = np.full(2, (crop.shape[0] - 1) / 2)
    m[:, 2] = (CROP - 1) / 2 - m[:, :2] @ centre + np.clip(SHIFT * rng.standard_normal(2), -8, 8)
    seen = cv2.warpAffine(crop, m, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return fit(seen, side)  # type: ignore[arg-type]  # OpenCV says less of its arrays


def fit(crop: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A crop (112, 112, 3) as a smaller net's input (side, side, 3), each pixel the mean of those that it covers."""
    if side == crop.shape[0]:
        return crop
    return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def images(crops: NDArray[np.uint8], side: int = CROP) -> NDArray[np.uint8]:
    """What f sees of crops (M, S, S, 3) as they are: their central parts, `fit`, uint8 (M, side, side, 3)."""
    middle = np.ascontiguousarray(central(crops))
    return middle if side == CROP else np.stack([fit(c, side) for c in middle])


def plain(crops: NDArray[np.uint8], side: int = CROP) -> Tensor:
    """`images` as f's input, float32 (M, 3, side, side)."""
    return to_input(images(crops, side))


def to_input(images: NDArray[np.uint8], kind: torch.dtype = torch.float32) -> Tensor:
    """Images uint8 (M, H, W, 3) as f's input, of that kind, (M, 3, H, W) channels-last: (x − 128)/128, exact in
    bfloat16 too."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return x.to(kind).sub_(128).div_(128)


def relight(images: NDArray[np.uint8], generator: torch.Generator, count: int = 0, part: slice = slice(None)) -> Tensor:
    """f's input of crops uint8 (M, H, W, 3) under random contrast, brightness and colour cast, clipped to the range of
    bytes: bfloat16 (M, 3, H, W) channels-last. `count`, `part`: the images are that part of so many."""
    m = count or len(images)
    gain = 1 + CONTRAST * torch.randn(m, 1, 1, 1, generator=generator)[part]
    lift = BRIGHTNESS * torch.randn(m, 1, 1, 1, generator=generator)[part] + (
        COLOUR * torch.randn(m, 3, 1, 1, generator=generator)[part]
    )
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.bfloat16)
    return x.mul_((gain / 128).bfloat16()).add_((lift / 128 - gain).bfloat16()).clamp_(-1.0, 127 / 128)


def batches(
    shown: Callable[[int], tuple[Crops, bool]],
    rows: Callable[[int], NDArray[np.int64]],
    steps: Iterable[int],
    seed: int,
    side: int = CROP,
    part: Callable[[int], slice] = lambda count: slice(0, count),
    ahead: int = 2,
) -> Iterator[tuple[int, NDArray[np.int64], Tensor]]:
    """(step, rows, augmented input) of every step, prepared in a thread ahead of their use.

    shown: what the rows of a step are of, and whether it is views already, of which half are mirrored and no more is
    done; rows: the images of a step; part: of so many images those that are prepared. What happens to an image depends
    on the seed, the step and its place among the rows alone.
    """

    def prepare(step: int) -> tuple[int, NDArray[np.int64], Tensor]:
        (crops, made), index = shown(step), rows(step)
        mine = part(len(index))
        places = range(len(index))[mine]

        def rng(place: int) -> np.random.Generator:
            return np.random.default_rng((seed, step, place, VIEW))

        chosen = crops[index[mine]]
        if made:
            turned = [cv2.flip(c, 1) if rng(k).random() < 0.5 else c for c, k in zip(chosen, places, strict=True)]
            return step, index, to_input(np.stack([fit(c, side) for c in turned]), torch.bfloat16)
        images = [view(c, rng(k), side) for c, k in zip(chosen, places, strict=True)]
        light = sampling.torch_rng(seed, step, "light")
        return step, index, relight(np.stack(images), light, len(index), mine)

    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[tuple[int, NDArray[np.int64], Tensor]]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(prepare, step))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for w in waiting:
                w.cancel()
