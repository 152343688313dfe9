"""A folder of images, of any layout, becomes Faces; what takes time is done once and kept in the cache folder.

The cache holds the index of archives, what is known of each image, the faces found in photos, the decoded crops of
small sets, embeddings by backbone and image, and broken-*.csv, which names the images that were left out. Any of it may
be deleted; processes that share it take turns.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Event, Progress, silent
from hyper_mcu.faces.backbone import backbone as default_backbone
from hyper_mcu.hypertrain.data import layout
from hyper_mcu.hypertrain.data.crops import Decoded, mapped
from hyper_mcu.hypertrain.data.embeddings import Embedder, stored
from hyper_mcu.hypertrain.data.faces import Crops, Faces
from hyper_mcu.hypertrain.data.held_out import split
from hyper_mcu.hypertrain.data.source import Source
from hyper_mcu.hypertrain.data.survey import report, sift, survey

Wanted = Callable[[str], bool]  # whether an image of that name is
# Half files of processes that were killed, as files.replacing names them: who has the lock is the only one to write.
LEFT = (".images-*", ".index-*", ".parquet-*", ".broken-*", "embeddings/*/.*", "photos-*/.*")


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
    found, embedder = layout.find(root, kind), backbone or default_backbone()
    with alone(cache, progress):
        source = layout.read(root, found, cache, progress)
        return _faces(source, root, cache, embedder, held_out, decoded, progress, wanted)


def _faces(
    source: Source,
    root: Path,
    cache: Path,
    backbone: Embedder,
    held_out: int,
    decoded: float,
    progress: Progress,
    wanted: Wanted | None,
) -> Faces:
    name = f"{root.resolve().name}-{hashlib.blake2b(str(root.resolve()).encode(), digest_size=4).hexdigest()}"
    seen = survey(source, cache / f"images-{name}.npy", progress)
    side, rows, broken = sift(source, seen, root)
    report(broken, cache / f"broken-{name}.csv", progress)
    if wanted is not None:
        rows = rows[np.array([wanted(name) for name in source.names[rows].tolist()], bool)]
        broken = tuple(b for b in broken if wanted(b[0]))
        if not len(rows):
            raise UserError(root, "none of the images that are asked for", "some of them", f"{len(seen)} others")
    identity = source.identity[rows]
    labelled = identity[identity != ""]
    if len(labelled) and (labelled == labelled[0]).all():
        raise UserError(root, "too few people", "images of at least two", labelled[0])
    hashes = np.frombuffer(seen["hash"][rows].tobytes(), np.uint8).reshape(-1, 16)
    crops: Crops = (lazy := Decoded(source, rows, side))
    if np.prod(lazy.shape) <= decoded * 1e9:
        key = hashlib.sha256(hashes.tobytes()).hexdigest()[:24]
        crops = mapped(lazy, cache / f"images-{key}.rgb", progress)
    own = source.split[rows]
    kind = own if (own != "").any() else split(identity, held_out)
    return Faces(
        crops,
        stored(hashes, crops, backbone, cache, progress),
        identity,
        kind,
        source.names[rows],
        backbone.sha256,
        backbone.dimension,
        broken,
        str(root),
        _sha256(hashes, identity, kind),
    )


def _sha256(hashes: NDArray[np.uint8], *columns: NDArray[np.str_]) -> str:
    h = hashlib.sha256(hashes.tobytes())
    for column in columns:
        h.update("\0".join(column.tolist()).encode(errors="surrogateescape") + b"\0\0")
    return h.hexdigest()


def of_crops(
    crops: NDArray[np.uint8],
    names: NDArray[np.str_],
    identity: NDArray[np.str_],
    cache: Path,
    backbone: Embedder,
    progress: Progress = silent,
) -> Faces:
    """Faces of crops uint8 (N, S, S, 3) that are there already, embedded through the cache; no split."""
    hashes = [hashlib.sha256(c.tobytes()).digest()[:16] for c in crops]
    table = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)
    with alone(cache, progress):
        embeddings = stored(table, crops, backbone, cache, progress)
    empty = np.zeros(len(names), "U1")
    return Faces(crops, embeddings, identity, empty, names, backbone.sha256, backbone.dimension)


@contextmanager
def alone(cache: Path, progress: Progress = silent) -> Iterator[None]:
    """Waits until no other process writes to the cache, and keeps it until the end; the folder is made."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "lock").open("w")
    except OSError as e:
        raise UserError(cache, "cannot write", "a folder for the cache", (e.strerror or str(e)).lower()) from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            progress(Event(f"waiting for another process that prepares {cache}"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in LEFT:
            for path in filter(Path.is_file, cache.glob(left)):
                path.unlink(missing_ok=True)
        yield
