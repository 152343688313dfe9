"""Ways to enrol a person, beyond one photo (the paper's Discussion): several photos, or several views of one, averaged.

All of them end in one unit embedding, so that the generator and the chip do not know the difference. The third of the
Discussion's ideas, a θ that is refined in a few steps, is `refine` of h_gen's shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.faces.backbone import Backbone
from hyper_mcu.hypertrain import augment
from hyper_mcu.hypertrain.data import central

Embedding = NDArray[np.float32]


def average(embeddings: Embedding) -> Embedding:
    """Unit mean (d,) of unit embeddings (K, d)."""
    mean: Embedding = embeddings.mean(0)
    return mean / np.linalg.norm(mean)


def one_photo(backbone: Backbone, crop: NDArray[np.uint8]) -> Embedding:
    """Embedding (d,) of the central part of a crop (S, S, 3) and nothing else."""
    return backbone.embed(central(crop[None]))[0, : backbone.dimension]


def flipped(backbone: Backbone, crop: NDArray[np.uint8]) -> Embedding:
    """Of a crop and of its mirror image, averaged: what `hyper-mcu enroll` does."""
    x = central(crop[None])
    return average(backbone.embed(np.concatenate([x, x[:, :, ::-1]]))[:, : backbone.dimension])


def augmented(backbone: Backbone, crop: NDArray[np.uint8], views: int, seed: int) -> Embedding:
    """Of a crop, of its mirror image, and of `views` random views (rotated, scaled, translated, half of them mirrored:
    augment.view), averaged."""
    x = central(crop[None])
    rng = np.random.default_rng(seed)
    more = [augment.view(crop, rng) for _ in range(views)]
    return average(backbone.embed(np.stack([x[0], x[0, :, ::-1], *more]))[:, : backbone.dimension])


def photos(backbone: Backbone, crops: Sequence[NDArray[np.uint8]]) -> Embedding:
    """Of several photos of one person, each with its mirror image, averaged."""
    return average(np.stack([flipped(backbone, crop) for crop in crops]))
