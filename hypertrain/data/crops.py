"""Encoded pictures to crops: decoded when asked for, in threads, or once into a memory map."""

from __future__ import annotations

import functools
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, counting, silent
from hyper_mcu.faces.photo import FORMATS
from hyper_mcu.hypertrain.data.faces import CROP, MARGIN
from hyper_mcu.hypertrain.data.source import Source

SIDES = (CROP, CROP + 2 * MARGIN)  # of pictures that are aligned crops
BATCH = 512
warnings.filterwarnings("ignore", module="PIL")  # its remarks about size and metadata; what matters is checked here


def picture(content: bytes) -> tuple[tuple[int, int], NDArray[np.uint8] | None]:
    """(width, height) and, where that is the size of a crop, pixels uint8 (S, S, 3) RGB of an encoded picture.

    Raises whatever the damage makes of the data.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        size = image.width, image.height
        return size, np.asarray(image.convert("RGB")) if size[0] == size[1] and size[0] in SIDES else None


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def pool() -> ThreadPoolExecutor:
    """Threads that decode, one a core."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="decode")


@dataclass(frozen=True)
class Decoded:
    """Some images of a source as crops uint8 (N, S, S, 3), read and decoded when they are asked for (data.Crops)."""

    source: Source
    rows: NDArray[np.int64]
    side: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, S, S, 3)."""
        return len(self.rows), self.side, self.side, 3

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Crops by number, numbers, slice or mask; further indices cut out of them."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        rows = self.rows[first]
        if rows.ndim == 0:
            found = self._crop(int(rows))
        else:
            found = np.empty((*rows.shape, *self.shape[1:]), np.uint8)
            flat = found.reshape(-1, *self.shape[1:])
            each = max(1, min(32, len(flat) // 8))

            def fill(begin: int) -> None:
                for k in range(begin, min(begin + each, len(flat))):
                    flat[k] = self._crop(int(rows.flat[k]))

            list(pool().map(fill, range(0, len(flat), each)))
        return found[(slice(None),) * rows.ndim + tuple(rest)] if rest else found

    def _crop(self, row: int) -> NDArray[np.uint8]:
        try:
            size, pixels = picture(self.source.read(row))
        except Exception as e:  # decoders raise whatever the damage makes of the data
            raise UserError(
                self.source.names[row], "damaged since the set was read", "a picture", type(e).__name__
            ) from e
        if pixels is None or pixels.shape[0] != self.side:
            want, got = (f"{w}×{h}" for w, h in ((self.side, self.side), size))
            raise UserError(self.source.names[row], "changed since the set was read", want, got)
        return pixels


def mapped(crops: Decoded, path: Path, progress: Progress = silent) -> NDArray[np.uint8]:
    """The crops as a memory map of the file `path`, which is made where it is missing or not whole."""
    if not path.is_file() or path.stat().st_size != np.prod(crops.shape):
        tell = counting(progress, "decoding crops", len(crops))
        with files.replacing(path) as part, part.open("wb") as f:
            for i in range(0, len(crops), BATCH):
                tell(i)
                f.write(crops[i : i + BATCH].data)
    return np.memmap(path, np.uint8, "r", shape=crops.shape)
