"""Data sets of faces: readers of every layout, crops, and frozen embeddings that are computed once.

`load` is the way in; it returns `Faces`. layout.py knows which reader is whose, loading.py what is kept in the cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyper_mcu.codegen.progress import silent
from hyper_mcu.faces.backbone import DEFAULT as BACKBONE
from hyper_mcu.hypertrain.data import tars
from hyper_mcu.hypertrain.data.embeddings import Embedder, embedded
from hyper_mcu.hypertrain.data.faces import CROP, MARGIN, SIDE, Crops, Faces, central, check_people
from hyper_mcu.hypertrain.data.loading import load as load_set
from hyper_mcu.hypertrain.data.loading import of_crops
from hyper_mcu.hypertrain.data.tars import read_table

__all__ = [
    "BACKBONE", "CROP", "MARGIN", "SIDE", "Crops", "Embedder", "Faces", "central", "check_people", "embedded", "load",
    "of_crops", "read_table",
]  # fmt: skip


def load(root: Path, cache: Any, *words: Any, **settings: Any) -> Faces:
    """loading.load; also load(root, table, cache, progress) until its callers have moved."""
    if not isinstance(cache, str):
        return load_set(root, cache, *words, **settings)
    tars.read_table(root / cache)
    progress = words[1] if len(words) > 1 else settings.get("progress", silent)
    return load_set(root, words[0], kind="shards", progress=progress)
