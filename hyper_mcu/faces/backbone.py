"""The frozen backbone h_bb behind one small interface: aligned crops in, embeddings out, and what identifies it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT = "mbf-w600k"
NAMES = ("mbf-w600k", "sface", "dlib")  # weights that come with a package
CHECKPOINTS = ("adaface-ir101", "face-transformer")  # weights that a user brings; hypertrain.backbones reads them
BATCH = 32
Look = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]


@dataclass(frozen=True)
class Limits:
    """Which photos a backbone is no good with, 0 where that was not measured or its numbers do not tell.

    norm: least length of the embedding of a crop, before it is scaled, to enrol. agree: least cosine between the
    embedding of a photo and the mean of the other photos of one person. same: the cosine from which on two faces are
    taken for one person's, where hardly any two people are so alike.
    """

    norm: float = 0.0
    agree: float = 0.0
    same: float = 0.0


@dataclass(frozen=True)
class Backbone:
    """A face recogniser whose weights are frozen.

    name: what `backbone` takes, without the folder of a file; size: numbers that it gives of a crop; dimension: how
    many of them, the leading ones, are its face embedding of unit length; tokens: T where size is T times dimension,
    else 0; licence: terms of its weights; sha256: of the weights, or of them and of all else that changes the numbers;
    look: those numbers of a few crops, float32 (N, size), of any length; limits: where photos are no good by it.
    """

    name: str
    dimension: int
    size: int
    tokens: int
    licence: str
    sha256: str
    look: Look = field(repr=False, compare=False)
    limits: Limits = Limits()

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings float32 (N, size) of aligned crops uint8 (N, 112, 112, 3) RGB, the leading `dimension` unit.

        Raises UserError where the weights are not installed, not the pinned bytes, or give no direction.
        """
        return self._scaled(self._looked(crops))

    def enrol(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same as the mean over each crop and its mirror image, as enrolment uses it."""
        return self.enrol_and_norm(crops)[0]

    def enrol_and_norm(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `enrol` gives, and the length (N,) of the embedding of each crop, the mirror image apart, unscaled."""
        import numpy as np

        seen = self._looked(crops)
        norm = np.linalg.norm(seen[:, : self.dimension], axis=1)
        both = self._scaled(seen) + self.embed(crops[:, :, ::-1])
        both *= 0.5
        return self._scaled(both), norm

    def mean(self, enrolled: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The mean (1, size) of what `enrol` gives of photos of a person, (1, size) each; of one photo that itself."""
        import numpy as np

        return enrolled[0] if len(enrolled) == 1 else self._scaled(np.mean(enrolled, 0))

    def _looked(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        import numpy as np

        found = [np.empty((0, self.size), np.float32)]
        found += [self.look(crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)]
        return np.concatenate(found)

    def _scaled(self, e: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        length = np.linalg.norm(e[:, : self.dimension], axis=1, keepdims=True)
        if not np.isfinite(e).all() or not length.all():
            raise UserError(self.name, "embedding", "finite numbers that are not all zero", "others")
        e[:, : self.dimension] /= length
        return e


@functools.cache
def backbone(name: str = DEFAULT) -> Backbone:
    """The backbone of that name: one of NAMES, or the path of an ONNX file as `onnx_backbone` describes it.

    Behind a colon it may name layers of an ONNX graph, `NAME:LAYER,LAYER` or `NAME:stages` (the ends of the stages of
    mbf-w600k and sface): their maps, averaged over space and scaled to unit length, follow the embedding. Raises
    UserError where there is none of that name; a package that is missing is named when the first crop is embedded.
    """
    from hyper_mcu.faces import dlib_backbone, onnx_backbone

    plain, layers = split(name)
    if plain == "dlib" and not layers:
        return dlib_backbone.load()
    if plain in onnx_backbone.RECIPES:
        return onnx_backbone.packaged(plain, layers)
    if plain.endswith(".onnx"):
        return onnx_backbone.from_file(Path(plain), layers)
    if plain in CHECKPOINTS:
        want = f"{plain}.onnx, which hypertrain.backbones.export writes from the checkpoint"
        raise UserError(name, "backbone of training alone", want, "its name")
    raise UserError(name, "unknown backbone", f"one of {', '.join(NAMES)}, or an ONNX file", name)


def split(name: str) -> tuple[str, tuple[str, ...]]:
    """The plain name and the layers of `NAME:LAYER,LAYER`.

    >>> split("mbf-w600k:343,397"), split("sface")
    (('mbf-w600k', ('343', '397')), ('sface', ()))
    """
    plain, colon, behind = name.rpartition(":")
    if not colon or not (plain in (*NAMES, *CHECKPOINTS) or plain.endswith(".onnx")):
        return name, ()
    return plain, tuple(behind.split(","))
