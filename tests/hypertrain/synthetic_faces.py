"""People who are a few numbers: pictures and embeddings both follow from them, so a small net learns in seconds."""

from __future__ import annotations

import numpy as np

from hyper_mcu.codegen.netspec import Head, NetSpec
from hyper_mcu.codegen.presets import same
from hyper_mcu.hypertrain.data.faces import MARGIN, Faces

DIMENSION = 16  # of the embeddings
LATENT = 6  # numbers that make a person
TOY = NetSpec(  # the paper's kind of net for 112×112 crops, as small as it goes
    "toy@1",
    (
        same(3, 3, 8, stride=2),
        same(3, 8, 16, 4, stride=2),
        same(3, 16, 16, 4, stride=2),
        same(3, 16, 16, 4, stride=2),
        same(1, 16, 16),
        same(1, 16, 4, relu=False),
    ),
    Head("cosdot"),
    norm="train-statistics",
)

COLOURS = np.linalg.qr(np.random.default_rng(7).standard_normal((LATENT, 3)))[0] * 2  # of the waves
TURN = np.linalg.qr(np.random.default_rng(8).standard_normal((DIMENSION, LATENT)))[0]  # from numbers to embeddings


def _waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each wave (LATENT, …) at places 0…1."""
    return np.stack(
        [np.cos(2 * np.pi * (a * x + b * y) + a) for a, b in ((0, 1), (1, 0), (1, 1), (2, 0), (0, 2), (2, 1))]
    )


def faces(people: dict[str, int], photos: int, side: int, seed: int = 0) -> Faces:
    """`photos` images of each of so many people a split; crops with the usual margin around side × side pixels.

    A picture is the sum of LATENT smooth waves, each as strong as a number of the person, and noise; the embedding is a
    fixed turn of the same numbers, and a little noise.
    """
    rng, size = np.random.default_rng(seed), side + 2 * MARGIN
    y, x = np.mgrid[:size, :size] / size
    waves = _waves(x, y)
    crops, embeddings, identity, split = [], [], [], []
    for part, count in people.items():
        for number in range(count):
            looks = rng.standard_normal(LATENT)
            looks *= LATENT**0.5 / np.linalg.norm(looks)
            for _ in range(photos):
                own = looks + 0.1 * rng.standard_normal(LATENT)
                picture = 128 + 25 * np.einsum("k,kyx,kc->yxc", own, waves, COLOURS)
                crops.append((picture + 4 * rng.standard_normal(picture.shape)).clip(0, 255).astype(np.uint8))
                both = TURN @ own + 0.05 * rng.standard_normal((2, DIMENSION))
                embeddings.append(both / np.linalg.norm(both, axis=1, keepdims=True))
                identity.append("" if part == "unlabelled" else f"{part}-{number}")
                split.append(part)
    names = [f"{i}.webp" for i in range(len(crops))]
    return Faces(
        np.stack(crops), np.array(embeddings, np.float16), np.array(identity), np.array(split), np.array(names)
    )


class Reader:
    """A backbone that reads the numbers of a person off a picture: by how much of each wave is in it."""

    name, sha256, dimension, size = "reader", "cd" * 32, DIMENSION, DIMENSION

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """float32 (N, DIMENSION), unit vectors, of crops uint8 (N, 112, 112, 3)."""
        y, x = (np.mgrid[:112, :112] + MARGIN) / (112 + 2 * MARGIN)
        waves = _waves(x, y)
        seen = np.einsum("kyx,kc->kyxc", waves, COLOURS).reshape(LATENT, -1)
        inverse = np.linalg.pinv(seen)
        looks = (crops.reshape(len(crops), -1).astype(np.float64) - 128) @ inverse
        e = looks @ TURN.T
        return (e / np.linalg.norm(e, axis=1, keepdims=True)).astype(np.float32)
