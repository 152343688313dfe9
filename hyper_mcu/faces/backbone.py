"""The frozen backbone h_bb: crops to unit embeddings."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 32


@dataclass(frozen=True)
class Backbone:
    """A face recogniser: its name in the table of weights, length of its embedding, terms of use, hash of its file."""

    name: str
    dimension: int
    licence: str
    sha256: str


def backbone(name: str = "mbf-w600k") -> Backbone:
    """The backbone of that name; raises UserError where there is none."""
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.faces.weights import WEIGHTS

    if name not in DIMENSIONS:
        raise UserError(name, "unknown backbone", "one of " + ", ".join(DIMENSIONS), name)
    w = WEIGHTS[name]
    return Backbone(name, DIMENSIONS[name], w.terms, w.sha256)


DIMENSIONS = {"mbf-w600k": 512}  # a further backbone that takes the same crop and normalisation needs only its row


@functools.cache
def _session(name: str) -> Any:
    from hyper_mcu.faces.weights import locate
    from hyper_mcu.inference import session

    return session(locate(name))


def embed(crops: NDArray[np.uint8], mirror: bool = False, name: str = "mbf-w600k") -> NDArray[np.float32]:
    """Unit embeddings float32 (N, dimension) of aligned crops uint8 (N, 112, 112, 3) RGB.

    mirror: the normalised mean of the embeddings of each crop and of its mirror image, as enrolment uses it.
    Raises UserError where the backbone is unknown, not installed or not the pinned bytes.
    """
    import numpy as np

    session = _session(backbone(name).name)
    entry = session.get_inputs()[0].name

    def unit(e: NDArray[Any]) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = e / np.linalg.norm(e, axis=1, keepdims=True)
        return scaled

    def look(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        return unit(session.run(None, {entry: x})[0])

    found = [np.empty((0, DIMENSIONS[name]), np.float32)]
    for i in range(0, len(crops), BATCH):
        part = crops[i : i + BATCH]
        found.append(unit(look(part) + look(part[:, :, ::-1])) if mirror else look(part))
    return np.concatenate(found)
