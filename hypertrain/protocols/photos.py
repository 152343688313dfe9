"""Raw photos to crops, by the product's own detector and aligner: in parallel, and once.

What was found in a photo is kept under the hash of its bytes and the identity of what looked: the detector's weights
and the sources of `hyper_mcu.faces` that turn a photo into a crop.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu import faces, inference
from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.progress import Event, Progress, counting, silent
from hyper_mcu.faces.align import SIDE
from hyper_mcu.faces.crops import face_crops
from hyper_mcu.faces.photo import read_photo
from hyper_mcu.faces.select import Purpose
from hyper_mcu.faces.weights import sha256_of
from hyper_mcu.hypertrain.data.locks import alone

SOURCES = ("photo", "detect", "select", "quality", "align", "crops")
FEW = 8  # photos for which no process is started


@dataclass(frozen=True)
class Photo:
    """What was found in a photo: the crop uint8 (112, 112, 3) of its largest face, or why there is none; why the
    product would refuse to enrol it, empty where it would not; whether it is no whole picture."""

    pixels: NDArray[np.uint8] | None
    no_face: str
    no_enrolment: str
    broken: bool


def identity() -> str:
    """Hash of everything that decides what is found in a photo."""
    h = hashlib.sha256(sha256_of("scrfd-500m").encode())
    for name in SOURCES:
        h.update((Path(faces.__file__).parent / f"{name}.py").read_bytes())
    return h.hexdigest()


def acquire(paths: list[Path], root: Path, cache: Path, progress: Progress = silent) -> list[Photo]:
    """What is found in each photo of the set in `root`. Raises UserError where a photo is missing or the detector
    cannot run; a photo that cannot be read shows no face."""
    with alone(cache, root, progress):
        folder = cache / f"photos-{identity()[:16]}"
        folder.mkdir(exist_ok=True)
        kept = [folder / hashlib.sha256(_content(path)).hexdigest() for path in paths]
        seen = [_recalled(at) for at in kept]
        missing = [i for i, photo in enumerate(seen) if photo is None]
        if len(missing) > FEW:
            progress(Event(f"{len(missing):,} of {len(paths):,} photos to be looked at once for a face"))
        tell = counting(progress, "looking for faces", len(missing))
        for k, (i, found) in enumerate(zip(missing, _each([paths[i] for i in missing]), strict=True), 1):
            tell(k)
            files.write(kept[i], _packed(found))
            seen[i] = found
    return [photo for photo in seen if photo is not None]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise UserError(path, "photo cannot be read", "a readable file", (e.strerror or str(e)).lower()) from e


def _each(paths: list[Path]) -> Iterator[Photo]:
    """What `look` finds in each photo, in their order, by as many processes as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(paths) <= FEW or cores < 2:
        yield from map(look, paths)
        return
    pool = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _one_thread)
    try:
        with _deaf():
            found = pool.map(look, paths, chunksize=4)
        yield from found
    except BrokenExecutor as e:
        want = f"{cores} processes, of some hundred megabytes each"
        raise UserError("looking for faces", "a process was killed", want, "fewer") from e
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started in it do not hear Ctrl-C, which is for the one that started them: it ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_thread() -> None:
    """In each of the processes: they are as many as the cores already."""
    inference.THREADS = 1


def look(path: Path) -> Photo:
    """What is found in one photo; raises UserError for a mistake that is not the photo's."""

    def crop(purpose: Purpose) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            return face_crops(path, "largest", purpose)[0].pixels, ""
        except UserError as e:
            if e.where != str(path) or isinstance(e, MissingToolError):
                raise
            return None, str(e).removeprefix(f"{e.where}: ")

    pixels, no_enrolment = crop("enrol")
    no_face = ""
    if pixels is None:  # what cannot be enrolled may still be asked about
        pixels, no_face = crop("probe")
    return Photo(pixels, no_face, no_enrolment, pixels is None and not _readable(path))


def _readable(path: Path) -> bool:
    try:
        read_photo(path)
    except UserError:
        return False
    return True


def _packed(photo: Photo) -> bytes:
    facts = json.dumps([photo.no_face, photo.no_enrolment, photo.broken]).encode()
    return facts + b"\n" + (b"" if photo.pixels is None else photo.pixels.tobytes())


def _recalled(path: Path) -> Photo | None:
    """What the file says was found, or nothing where it is missing or damaged."""
    try:
        facts, _, pixels = path.read_bytes().partition(b"\n")
        no_face, no_enrolment, broken = json.loads(facts)
        crop = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE, 3) if pixels or not no_face else None
    except (OSError, ValueError, TypeError):
        return None
    return Photo(crop, no_face, no_enrolment, broken)
