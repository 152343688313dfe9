"""Faces: the images of a data set, whose they are, and their frozen embeddings; what every part of training reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import SIDE

CROP, MARGIN = SIDE, 8  # pixels: the ArcFace crop, and what sets with a margin have around it on each side


@runtime_checkable
class Crops(Protocol):
    """What is indexed like an array uint8 (N, S, S, 3) RGB: an array, a memory map, images decoded when asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, S, S, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Faces:
    """Images and what is known of them, N in all.

    crops: uint8 (N, S, S, 3) RGB, S ≥ 112, the central 112×112 is the ArcFace crop. embeddings: float16 (N, 2, D) of
    that crop and of its mirror image; the leading `dimension` numbers (0: all of them) are a unit vector. identity
    (N,): text, empty where unlabelled. split (N,): train, val or unlabelled. names (N,): of the images in the set.
    backbone_sha256: of what embedded them. broken: name and defect of every image of the set that was left out.
    source: the set, for messages. sha256: of the images' bytes, identities and splits, in their order.
    """

    crops: Crops
    embeddings: NDArray[np.float16]
    identity: NDArray[np.str_]
    split: NDArray[np.str_]
    names: NDArray[np.str_]
    backbone_sha256: str = ""
    dimension: int = 0
    broken: tuple[tuple[str, str], ...] = ()
    source: str = "data"
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.dimension == 0:
            object.__setattr__(self, "dimension", self.embeddings.shape[-1])

    def select(self, split: str) -> NDArray[np.int64]:
        """Indices of the images of one split."""
        return np.flatnonzero(self.split == split)

    def enrolled(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """What enrolment gives h_gen, float32 (rows, D): mean over crop and mirror image, its leading `dimension`
        numbers scaled to unit length."""
        both = self.embeddings[rows]
        e: NDArray[np.float32] = np.asarray(both).mean(1, dtype=np.float32)
        e[:, : self.dimension] /= np.linalg.norm(e[:, : self.dimension], axis=1, keepdims=True)
        return e

    def teacher(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """Unit vectors float32 (rows, dimension) whose products are the backbone's own similarities."""
        both = self.embeddings[rows][..., : self.dimension]
        e: NDArray[np.float32] = np.asarray(both).mean(1, dtype=np.float32)
        return e / np.linalg.norm(e, axis=1, keepdims=True)


def central(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The ArcFace crop, the central 112×112 pixels, of crops (…, S, S, 3): a view."""
    m = (crops.shape[-2] - CROP) // 2
    return crops[..., m : m + CROP, m : m + CROP, :]


def check_people(faces: Faces) -> None:
    """Raises UserError where an image has no identity, people are too few, or one is both to train and to check on."""
    sides = []
    for split in ("train", "val"):
        people = faces.identity[faces.select(split)]
        if (people == "").any():
            first = faces.names[faces.select(split)][people == ""][0]
            raise UserError(
                faces.source, f"image of split {split} without identity", "a name, or split unlabelled", first
            )
        sides.append(set(people.tolist()))
    names, photos = np.unique(faces.identity[faces.select("val")], return_counts=True)
    if len(names) < 2 or photos.max(initial=0) < 2:
        got = f"{len(names)} people, {photos.max(initial=0)} images at most"
        raise UserError(faces.source, "too few in split val", "two people, one of them with two images", got)
    if len(sides[0]) < 2:
        raise UserError(faces.source, "too few in split train", "two people", len(sides[0]))
    if both := sorted(sides[0] & sides[1]):
        raise UserError(
            faces.source, "people of split val in split train too", "people in one of them", ", ".join(both[:3])
        )
