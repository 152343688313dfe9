"""Frozen embeddings, computed once: a folder a backbone of files that hold hashes of images and their embeddings.

KEY.npy, float16 (n, 2, D), has beside it KEY.hashes.npy, uint8 (n, 16). A file is never changed. That of a set is in
the set's order and is mapped as it is; its key is the hash of its hashes. While a set is embedded, what is there
already is written to a part every minute, so that an interrupted run goes on where it was. Parts go when their images
are in the file of a set, so an embedding that is there stays there; who looks for some, or moves them, has the lock.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import files
from hyper_mcu.codegen.progress import Event, Progress, counting, silent
from hyper_mcu.hypertrain.data.faces import Crops, central
from hyper_mcu.hypertrain.data.locks import locked

BATCH = 256
SAVE = 60.0  # seconds of embedding that an interruption may cost
LOCK = "lock"
BLOCK = 1 << 14  # rows copied in one go


class Embedder(Protocol):
    """A frozen backbone: `size` numbers an image, the leading `dimension` a unit vector; sha256 says which it is."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def size(self) -> int: ...
    def embed(self, crops: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """float32 (N, size) of aligned crops uint8 (N, 112, 112, 3) RGB."""


def embedded(crops: NDArray[np.uint8], backbone: Embedder) -> NDArray[np.float16]:
    """Embeddings float16 (N, 2, D) of the central 112×112 of crops (N, S, S, 3) and of its mirror image."""
    x = np.ascontiguousarray(central(crops))
    both = [backbone.embed(v) for v in (x, np.ascontiguousarray(x[:, :, ::-1]))]
    return np.stack(both, 1).astype(np.float16)


def stored(
    hashes: NDArray[np.uint8], crops: Crops, backbone: Embedder, cache: Path, progress: Progress = silent
) -> NDArray[np.float16]:
    """Embeddings float16 (N, 2, D), memory-mapped, of crops (N, S, S, 3) with these hashes uint8 (N, 16).

    Images whose hash is in the cache are not embedded again.
    """
    folder = cache / "embeddings" / backbone.sha256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    path, shape = folder / f"{key(hashes)}.npy", (len(hashes), 2, backbone.size)
    found = _opened(path, shape)
    if found is None:
        with locked(folder / LOCK):
            missing = _missing(hashes, folder, backbone)
        _embed(hashes, missing, crops, backbone, folder, progress)
        with locked(folder / LOCK):
            _assemble(hashes, path, shape, folder, backbone, progress)
            found = _opened(path, shape)
            if found is None:
                raise RuntimeError(f"{path} is not what was written")
            _drop_parts(_keys(hashes), folder)
    return found


def key(hashes: NDArray[np.uint8]) -> str:
    """What the files of images with these hashes uint8 (N, 16), in this order, are called by."""
    return hashlib.sha256(np.ascontiguousarray(hashes).tobytes()).hexdigest()[:24]


def _embed(
    hashes: NDArray[np.uint8],
    rows: NDArray[np.int64],
    crops: Crops,
    backbone: Embedder,
    folder: Path,
    progress: Progress,
) -> None:
    """Embeds the images `rows` into new parts; keeps what it has when interrupted."""
    done: list[NDArray[np.float16]] = []
    begin, saved = 0, time.monotonic()
    if len(rows) > BATCH:
        progress(Event(f"{len(rows):,} of {len(hashes):,} images to be embedded once by {backbone.name}"))
    tell = counting(progress, "embedding crops", len(rows))

    def keep(end: int) -> None:
        if done:
            with locked(folder / LOCK):
                _write(
                    folder / f"part-{os.getpid()}-{time.time_ns()}.npy", hashes[rows[begin:end]], np.concatenate(done)
                )

    at = 0
    try:
        for at, batch in ahead(lambda i: crops[rows[i : i + BATCH]], range(0, len(rows), BATCH)):
            tell(at)
            if time.monotonic() - saved > SAVE:
                keep(at)
                done, begin, saved = [], at, time.monotonic()
            done.append(embedded(batch, backbone))
    finally:
        keep(begin + sum(len(d) for d in done))


def ahead(get: Callable[[int], NDArray[np.uint8]], items: range) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each item and what `get` makes of it, the next one fetched while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [(i, pool.submit(get, i)) for i in items[:1]]
        for k in range(len(items)):
            i, future = waiting.pop()
            if k + 1 < len(items):
                waiting.append((items[k + 1], pool.submit(get, items[k + 1])))
            yield i, future.result()


def _assemble(
    hashes: NDArray[np.uint8], path: Path, shape: tuple[int, ...], folder: Path, backbone: Embedder, progress: Progress
) -> None:
    """Writes the file of a set out of the files that are there, which hold all of its images."""
    progress("gathering embeddings")
    unique, back = np.unique(_keys(hashes), return_inverse=True)
    _write_hashes(path, hashes)
    with files.replacing(path) as part:
        whole = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        for have, embeddings in _files(folder, backbone):
            _, at, of = np.intersect1d(_keys(have), unique, return_indices=True)
            place = np.full(len(unique), -1)
            place[of] = at
            source = place[back]
            rows = np.flatnonzero(source >= 0)
            for i in range(0, len(rows), BLOCK):
                whole[rows[i : i + BLOCK]] = embeddings[source[rows[i : i + BLOCK]]]
        whole.flush()


def _drop_parts(whole: NDArray[np.void], folder: Path) -> None:
    """Deletes the parts whose images are all in the file of a set; those of other sets stay."""
    for path in folder.glob("part-*.hashes.npy"):
        have = _hashes(path)
        if have is None or np.isin(_keys(have), whole).all():
            path.with_name(path.name.replace(".hashes", "")).unlink(missing_ok=True)
            path.unlink()


def _missing(hashes: NDArray[np.uint8], folder: Path, backbone: Embedder) -> NDArray[np.int64]:
    """Rows to embed, in order: the first of each image that no file holds."""
    unique, first = np.unique(_keys(hashes), return_index=True)
    there = np.zeros(len(unique), bool)
    for have, _ in _files(folder, backbone):
        there |= np.isin(unique, _keys(have))
    return np.sort(first[~there])


def _files(folder: Path, backbone: Embedder) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float16]]]:
    """Hashes and embeddings of every whole file of a backbone."""
    for path in sorted(folder.glob("*.npy")):
        if path.name.endswith(".hashes.npy") or path.name.startswith("."):
            continue
        have = _hashes(path.with_suffix(".hashes.npy"))
        embeddings = None if have is None else _opened(path, (len(have), 2, backbone.size))
        if have is not None and embeddings is not None:
            yield have, embeddings


def _hashes(path: Path) -> NDArray[np.uint8] | None:
    """The hashes (n, 16) in a file, or nothing where it is missing or damaged."""
    try:
        found = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.dtype == np.uint8 and found.shape[1:] == (16,) else None


def _keys(hashes: NDArray[np.uint8]) -> NDArray[np.void]:
    """Hashes (n, 16) as values that can be sorted and compared, (n,)."""
    return np.ascontiguousarray(hashes).reshape(-1, 16).view("V16")[:, 0]


def _opened(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """The file as a memory map, or nothing where it is missing, damaged or of another shape."""
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float16 else None


def _write(path: Path, hashes: NDArray[np.uint8], embeddings: NDArray[np.float16]) -> None:
    _write_hashes(path, hashes)
    with files.replacing(path) as part, part.open("wb") as f:
        np.save(f, embeddings)


def _write_hashes(path: Path, hashes: NDArray[np.uint8]) -> None:
    with files.replacing(path.with_suffix(".hashes.npy")) as part, part.open("wb") as f:
        np.save(f, hashes)
