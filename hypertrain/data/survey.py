"""Looking at every image of a set once: the hash of its bytes, and whether it is a whole picture of a crop's size.

What was seen is remembered by file, size, time of change and place in the file, so only new and changed images are
read again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Event, Progress, counting, silent
from hyper_mcu.hypertrain.data.crops import SIDES, picture, pool
from hyper_mcu.hypertrain.data.source import Source

SEEN = np.dtype([("stamp", "V16"), ("hash", "V16"), ("width", "<u2"), ("height", "<u2")])  # damaged: 0×0
BLOCK = 1024  # images between two looks at the clock
SAVE = 120.0  # seconds between saves of a long survey


def survey(source: Source, memory: Path, progress: Progress = silent) -> NDArray[np.void]:
    """What is known of each image, SEEN (N,); kept in the file `memory`. What could not be read is tried again."""
    seen, complete = _recalled(memory, source.stamps())
    todo = np.flatnonzero((seen["hash"] == np.void(bytes(16))) & (source.length != 0))
    _, first, back = np.unique(seen["stamp"][todo], return_index=True, return_inverse=True)  # one place, several names
    once = np.sort(todo[first])
    saved = time.monotonic()
    tell = counting(progress, "looking at images", len(once))
    for i in range(0, len(once), BLOCK):
        tell(i)
        block = once[i : i + BLOCK]
        for row, found in zip(block, pool().map(lambda r: _look(source, int(r)), block, chunksize=16), strict=True):
            seen["hash"][row], seen["width"][row], seen["height"][row] = found
        if time.monotonic() - saved > SAVE:
            _save(memory, seen)
            saved = time.monotonic()
    seen[todo] = seen[todo[first]][back]
    if len(todo) or not complete:
        _save(memory, seen)
    return seen


def _recalled(memory: Path, stamps: NDArray[np.void]) -> tuple[NDArray[np.void], bool]:
    """What is remembered of the images with these stamps, hash 0 where nothing; and whether it is of this very set."""
    try:
        old = np.load(memory)
    except (OSError, ValueError, EOFError):  # not there, or damaged
        old = np.empty(0, SEEN)
    old = old if old.dtype == SEEN else np.empty(0, SEEN)
    if np.array_equal(old["stamp"], stamps):
        return old, True
    seen = np.zeros(len(stamps), SEEN)
    unique, back = np.unique(stamps, return_inverse=True)
    _, at, known = np.intersect1d(old["stamp"], unique, return_indices=True)
    place = np.full(len(unique), -1)
    place[known] = at
    there = place[back] >= 0
    seen[there] = old[place[back][there]]
    seen["stamp"] = stamps
    return seen, False


def sift(
    source: Source, seen: NDArray[np.void], where: Path
) -> tuple[int, NDArray[np.int64], tuple[tuple[str, str], ...]]:
    """Side of the crops, the images that are whole and of that side, and name and defect of the others.

    Raises UserError for a set without images, and one most of which are no crops: the first that is none is named.
    """
    if len(seen) == 0:
        raise UserError(where, "empty set", "images", "none")
    square = seen["width"] == seen["height"]
    counts = [int((square & (seen["width"] == side)).sum()) for side in SIDES]
    side = SIDES[int(np.argmax(counts))]
    good = square & (seen["width"] == side)
    rest = np.flatnonzero(~good)
    broken = tuple((str(source.names[i]), _defect(source, int(i), seen[i])) for i in rest)
    if 2 * len(rest) > len(seen):
        expected = " or ".join(f"{s}×{s}" for s in SIDES) + " aligned crops"
        raise UserError(
            f"{where} {broken[0][0]}", f"no crop, as {len(rest)} of {len(seen)} images", expected, broken[0][1]
        )
    return side, np.flatnonzero(good), broken


def report(broken: tuple[tuple[str, str], ...], path: Path, progress: Progress = silent) -> None:
    """Names the images that are left out in a CSV file, and says so; no file where there are none."""
    if not broken:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", "defect"), *broken])
    if not path.is_file() or path.read_bytes() != text.getvalue().encode(errors="replace"):
        files.write(path, text.getvalue().encode(errors="replace"))
    progress(Event(f"{len(broken)} broken images left out: see {path}"))


def _look(source: Source, row: int) -> tuple[bytes, int, int]:
    if source.length[row] == 0:
        return bytes(16), 0, 0
    try:
        content = source.read(row)
    except (OSError, ValueError):
        return bytes(16), 0, 0
    digest = hashlib.sha256(content).digest()[:16]
    try:
        (width, height), _ = picture(content)
    except Exception:  # decoders raise whatever the damage makes of the data
        return digest, 0, 0
    return digest, min(width, 0xFFFF), min(height, 0xFFFF)


def _defect(source: Source, row: int, seen: np.void) -> str:
    if source.length[row] == 0:
        return f"not in {source.files[source.which[row]]}"
    return f"{seen['width']}×{seen['height']} pixels" if seen["width"] else "damaged"


def _save(memory: Path, seen: NDArray[np.void]) -> None:
    with files.replacing(memory) as part, part.open("wb") as f:
        np.save(f, seen)
