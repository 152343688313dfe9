"""A folder of images, of any layout, becomes Faces; what takes time is done once and kept in the cache folder.

The cache holds the index of archives, what is known of each image, the faces found in photos, the decoded crops of
small sets, embeddings by backbone and image, and broken-*.csv, which names the images that were left out. Any of it may
be deleted; processes that prepare one set take turns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.faces.backbone import backbone as default_backbone
from hyper_mcu.hypertrain.data import layout
from hyper_mcu.hypertrain.data.crops import Decoded, mapped
from hyper_mcu.hypertrain.data.embeddings import Embedder, key, stored
from hyper_mcu.hypertrain.data.faces import Crops, Faces
from hyper_mcu.hypertrain.data.held_out import split
from hyper_mcu.hypertrain.data.locks import alone, name_of
from hyper_mcu.hypertrain.data.survey import report, sift, survey

Wanted = Callable[[str], bool]  # whether an image of that name is


def load(
    root: Path,
    cache: Path,
    backbone: Embedder | None = None,
    kind: str = "auto",
    held_out: int = 300,
    decoded: float = 8.0,
    progress: Progress = silent,
    wanted: Wanted | None = None,
) -> Faces:
    """Reads the data set in `root`, whatever its layout (`kind`: one of layout.KINDS to force one).

    backbone: embeds the crops; default: that of the product. Sets without a split of their own get `held_out` people of
    split val. Sets of at most `decoded` GB of pixels are decoded once, larger ones when images are asked for. wanted:
    the names of those that are, all by default; the others are neither decoded nor embedded. Broken images are left out
    and named in cache/broken-*.csv. Raises UserError where there is no set, a shard is missing, images are no aligned
    crops of 112×112 or 128×128, and where a set is empty or names one person only. A set that names nobody is all
    unlabelled; check_people refuses it for training.
    """
    found, backbone = layout.find(root, kind), backbone or default_backbone()
    with alone(cache, root, progress):
        source = layout.read(root, found, cache, progress)
        seen = survey(source, cache / f"images-{name_of(root)}.npy", progress)
        side, rows, broken = sift(source, seen, root)
        report(broken, cache / f"broken-{name_of(root)}.csv", progress)
        _check_people(source.identity[rows], root)
        if wanted is not None:
            rows = rows[np.array([wanted(name) for name in source.names[rows].tolist()], bool)]
            broken = tuple(b for b in broken if wanted(b[0]))
            if not len(rows):
                raise UserError(root, "none of the images that are asked for", "some of them", f"{len(seen)} others")
        hashes = np.frombuffer(seen["hash"][rows].tobytes(), np.uint8).reshape(-1, 16)
        crops: Crops = (lazy := Decoded(source, rows, side))
        if np.prod(lazy.shape) <= decoded * 1e9:
            crops = mapped(lazy, cache / f"images-{key(hashes)}.rgb", progress)
        embeddings = stored(hashes, crops, backbone, cache, progress)
    identity, own = source.identity[rows], source.split[rows]
    kinds = own if (own != "").any() else split(identity, held_out)
    return Faces(
        crops,
        embeddings,
        identity,
        kinds,
        source.names[rows],
        backbone.sha256,
        backbone.dimension,
        broken,
        str(root),
        _sha256(hashes, identity, kinds),
    )


def _check_people(identity: NDArray[np.str_], root: Path) -> None:
    labelled = identity[identity != ""]
    if len(labelled) and (labelled == labelled[0]).all():
        raise UserError(root, "too few people", "images of at least two", labelled[0])


def _sha256(hashes: NDArray[np.uint8], *columns: NDArray[np.str_]) -> str:
    h = hashlib.sha256(hashes.tobytes())
    for column in columns:
        h.update("\0".join(column.tolist()).encode(errors="surrogateescape") + b"\0\0")
    return h.hexdigest()


def of_crops(
    crops: NDArray[np.uint8],
    names: NDArray[np.str_],
    root: Path,
    cache: Path,
    backbone: Embedder,
    progress: Progress = silent,
) -> Faces:
    """Faces of crops uint8 (N, S, S, 3) that were found in the set in `root`, embedded through the cache; nobody's, and
    of no split."""
    hashes = np.array([np.frombuffer(hashlib.sha256(c.tobytes()).digest()[:16], np.uint8) for c in crops])
    with alone(cache, root, progress):
        embeddings = stored(hashes, crops, backbone, cache, progress)
    empty = np.zeros(len(names), "U1")
    return Faces(crops, embeddings, empty, empty, names, backbone.sha256, backbone.dimension, source=str(root))
