"""Augmented views of crops: one small random similarity and mirror (OpenCV, on bytes), then light."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.hypertrain.data import CROP, Crops

SHIFT, TURN, SCALE = 3.0, 4.0, 0.05  # standard deviations: pixels, degrees, relative
CONTRAST, BRIGHTNESS, COLOUR = 0.15, 20.0, 6.0  # standard deviations: relative, grey levels, grey levels a channel


def view(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random view uint8 (112, 112, 3) of a crop (S, S, 3), S ≥ 112: rotated, scaled, shifted, half of them mirrored.

    Where it looks past the crop's edge, which a margin makes rare, the border is repeated.
    """
    angle, s = np.deg2rad(TURN * rng.standard_normal()), 1 + SCALE * rng.standard_normal()
    a, b = s * np.cos(angle), s * np.sin(angle)
    m = np.array([[a, -b, 0.0], [b, a, 0.0]])
    if rng.random() < 0.5:
        m[:, 0] *= -1
    centre = np.full(2, (crop.shape[0] - 1) / 2)
    m[:, 2] = (CROP - 1) / 2 - m[:, :2] @ centre + np.clip(SHIFT * rng.standard_normal(2), -8, 8)
    return cv2.warpAffine(crop, m, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def to_input(images: NDArray[np.uint8]) -> Tensor:
    """Crops uint8 (M, 112, 112, 3) as f's input, float32 (M, 3, 112, 112) channels-last: (x − 128)/128."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return (x.float() - 128.0) / 128.0


def relight(images: NDArray[np.uint8], generator: torch.Generator) -> Tensor:
    """f's input of crops uint8 (M, H, W, 3) under random contrast, brightness and colour cast, clipped to the range of
    bytes: bfloat16 (M, 3, H, W) channels-last."""
    m = len(images)
    gain = 1 + CONTRAST * torch.randn(m, 1, 1, 1, generator=generator)
    lift = BRIGHTNESS * torch.randn(m, 1, 1, 1, generator=generator) + COLOUR * torch.randn(
        m, 3, 1, 1, generator=generator
    )
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.bfloat16)
    return x.mul_((gain / 128).bfloat16()).add_((lift / 128 - gain).bfloat16()).clamp_(-1.0, 127 / 128)


def batches(
    crops: Crops, order: Iterator[NDArray[np.int64]], seed: int, ahead: int = 2
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """(indices, augmented input) for each index array of `order`, prepared in a thread ahead of their use."""

    def prepare(step: int, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tensor]:
        rng = np.random.default_rng((seed, step))
        views = np.stack([view(c, rng) for c in crops[index]])
        return index, relight(views, torch.Generator().manual_seed(seed * 1_000_003 + step))

    with ThreadPoolExecutor(1) as pool:
        waiting = []
        for step, index in enumerate(order):
            waiting.append(pool.submit(prepare, step, index))
            if len(waiting) > ahead:
                yield waiting.pop(0).result()
        for w in waiting:
            yield w.result()
