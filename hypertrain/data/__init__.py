"""Data sets of faces: readers of every layout, crops, and frozen embeddings that are computed once.

`load` is the way in; it returns `Faces`. layout.py knows which reader is whose, loading.py what is kept in the cache.
"""

from __future__ import annotations

from hyper_mcu.hypertrain.data.embeddings import Embedder, embedded
from hyper_mcu.hypertrain.data.faces import CROP, Crops, Faces, central, check_people
from hyper_mcu.hypertrain.data.loading import load, of_crops

__all__ = [
    "CROP", "Crops", "Embedder", "Faces", "central", "check_people", "embedded", "load", "of_crops",
]  # fmt: skip
