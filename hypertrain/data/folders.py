"""Sets of one folder a person: NAME/any picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hyper_mcu.hypertrain.data.source import PICTURES, Source, texts


def has_people(root: Path) -> bool:
    """Whether a sub-folder of `root` holds pictures."""
    return any(_pictures(folder) for folder in _folders(root))


def read(root: Path) -> Source:
    """The pictures of the folders in `root`, by name of the person and of the picture."""
    found = [(folder, name) for folder in _folders(root) for name in _pictures(folder)]
    names = texts(f"{folder.name}/{name}" for folder, name in found)
    identity, count = texts(folder.name for folder, _ in found), len(found)
    length = np.full(count, np.iinfo(np.int64).max)  # to the end of the file
    return Source(
        root, names, np.arange(count, dtype=np.int32), np.zeros(count, np.int64), length, names, identity,
        np.zeros(count, "U1"), whole,
    )  # fmt: skip


def whole(file: BinaryIO, offset: int, length: int) -> bytes:
    """All of a file."""
    return file.read()


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        return sorted(Path(e.path) for e in entries if e.is_dir() and not e.name.startswith("."))


def _pictures(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and e.name.lower().endswith(PICTURES)]
    return sorted(names)
