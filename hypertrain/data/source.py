"""Source: where the encoded images of a set lie, as spans of files, found by the reader of its layout."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def plain(file: BinaryIO, offset: int, length: int) -> bytes:
    """The bytes of a span."""
    file.seek(offset)
    return file.read(length)


@dataclass(frozen=True)
class Source:
    """N images: image i is `length[i]` bytes at `offset[i]` of the file `files[which[i]]` under `root`;
    length 0: it is named but not there. names, identity, split (N,) text, as in Faces; split is empty where the layout
    knows none. reader: gets an image out of its file."""

    root: Path
    files: NDArray[np.str_]
    which: NDArray[np.int32]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    names: NDArray[np.str_]
    identity: NDArray[np.str_]
    split: NDArray[np.str_]
    reader: Callable[[BinaryIO, int, int], bytes] = plain

    def read(self, i: int) -> bytes:
        """The encoded image i; raises OSError where its file cannot be read."""
        with (self.root / str(self.files[self.which[i]])).open("rb") as f:
            return self.reader(f, int(self.offset[i]), int(self.length[i]))

    def stamps(self) -> NDArray[np.void]:
        """16 bytes an image (N,) that change with its file's path, size or time of change, and its place in it."""
        both = np.stack([self.states()[self.which], self.offset.astype(np.uint64)], 1)
        return both.view("V16")[:, 0]

    def states(self) -> NDArray[np.uint64]:
        """State of each file (F,); raises UserError where one is missing."""
        return np.array([state(self.root / str(name)) for name in self.files], np.uint64)


def state(path: Path) -> int:
    """64 bits that change with the path, size or time of change of a file; raises UserError where there is none."""
    try:
        s = path.stat()
    except OSError as e:
        raise UserError(path, "missing file of the set", "a file", (e.strerror or str(e)).lower()) from e
    if not stat.S_ISREG(s.st_mode):
        raise UserError(path, "missing file of the set", "a file", "a folder, device or pipe")
    text = f"{os.path.abspath(path)}\0{s.st_size}\0{s.st_mtime_ns}"
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "little")


def texts(words: Iterable[str]) -> NDArray[np.str_]:
    """Words as an array of text, an empty one too."""
    return np.array(list(words), np.str_)


def numbers(values: NDArray[np.int64]) -> NDArray[np.str_]:
    """Whole numbers as text, no wider than they need."""
    width = max(len(str(values.min(initial=0))), len(str(values.max(initial=0))))
    return values.astype(f"U{width}")


def check_numbering(paths: list[Path]) -> None:
    """Raises UserError where a shard is missing from a numbered row NAME-000000.tar, NAME-000001.tar, … or from the
    total that NAME-00000-of-00003.parquet states."""
    rows: dict[tuple[str, str], dict[int, int]] = {}
    for p in paths:
        if m := re.fullmatch(r"(.*?)(\d+)((?:-of-\d+)?)", p.stem):
            rows.setdefault((m[1], m[3]), {})[int(m[2])] = len(m[2])
    for (name, total), there in rows.items():
        last = int(total.removeprefix("-of-")) - 1 if total else max(there)
        for k in range(0 if total or min(there) == 0 else min(there), last + 1):
            if k not in there:
                missing = f"{name}{k:0{min(there.values())}d}{total}{paths[0].suffix}"
                raise UserError(paths[0].parent / missing, "missing shard", f"{last + 1} of them", "no such file")
