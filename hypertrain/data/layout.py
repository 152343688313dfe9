"""Which layout a data set has, and its reader; what was found in archives is remembered until they change."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain.data import folders, parquet, recordio, tars
from hyper_mcu.hypertrain.data.source import Source, state

KINDS = ("recordio", "shards", "parquet", "webdataset", "folder")
EXPECTED = "NAME/*.jpg, train.csv with tar shards, WebDataset tars, train.rec, or parquet files"
COLUMNS = ("files", "which", "offset", "length", "names", "identity", "split")


def find(root: Path, kind: str = "auto") -> str:
    """The layout of the set in `root`: one of KINDS, or `kind` itself where it is not "auto".

    Raises UserError for a folder that holds no set, and for an unknown `kind`.
    """
    if kind not in ("auto", *KINDS):
        raise UserError("data.kind", "unknown layout", ", ".join(("auto", *KINDS)), kind)
    if not root.is_dir():
        raise UserError(root, "no data set", "a folder", "a file" if root.exists() else "no such folder")
    there: dict[str, Callable[[], bool]] = {
        "recordio": lambda: any(root.glob("*.rec")),
        "shards": lambda: table_of(root) is not None,
        "parquet": lambda: bool(parquet.shards(root)),
        "webdataset": lambda: any(root.glob("*.tar")),
        "folder": lambda: folders.has_people(root),
    }
    found = [k for k in KINDS if kind in ("auto", k) and there[k]()]
    if not found:
        expected = EXPECTED if kind == "auto" else f"one of layout {kind}"
        raise UserError(root, "no data set", expected, "nothing of the kind")
    return found[0]


def table_of(root: Path) -> Path | None:
    """The table of tar shards in a folder: train.csv, or else the first CSV file with columns shard and name."""
    for path in sorted(root.glob("*.csv"), key=lambda p: (p.name != "train.csv", p.name)):
        if path.name == "train.csv" or {"shard", "name"} <= set(_first_row(path)):
            return path
    return None


def _first_row(path: Path) -> list[str]:
    """The first row of a CSV file; none of what is no such file."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as f:
            return next(csv.reader(f), [])
    except (OSError, csv.Error):
        return []


def read(root: Path, kind: str, cache: Path, progress: Progress = silent) -> Source:
    """The images of the set in `root`, of layout `kind` (one of KINDS)."""
    if kind == "folder":
        return folders.read(root)
    if kind == "parquet":
        return parquet.read(parquet.shards(root), cache, progress)
    if kind == "shards":
        table = table_of(root)
        if table is None:
            raise UserError(root, "no data set", "a table with columns shard and name", "none")
        return read_table_of_shards(table, cache, progress)
    if kind == "recordio":
        recs = sorted(root.glob("*.rec"))
        beside = [p for r in recs if (p := r.with_suffix(".idx")).is_file()]
        found = _remembered(cache, [*recs, *beside], lambda: recordio.read(recs, progress))
        return replace(found, reader=recordio.image)
    tarred = sorted(root.glob("*.tar"))
    return _remembered(cache, tarred, lambda: tars.read_webdataset(tarred, progress))


def read_table_of_shards(table: Path, cache: Path, progress: Progress = silent) -> Source:
    """The images that a table of tar shards names."""
    if not table.is_file():
        tars.read_table(table)  # says what is wrong
    return _remembered(cache, [table], lambda: tars.read_shards(table, progress))


def _remembered(cache: Path, parts: list[Path], make: Callable[[], Source]) -> Source:
    """What `make` finds in a set, from the cache where neither its parts nor the files with the images have changed."""
    key = "".join(f"{state(p):016x}" for p in parts)
    path = cache / f"index-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.npz"
    root = parts[0].parent
    try:
        with np.load(path) as stored:
            found = Source(root, **{k: stored[k] for k in COLUMNS})
            if np.array_equal(stored["states"], found.states()):
                return found
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or damaged
    found = make()
    with files.replacing(path) as part, part.open("wb") as f:
        np.savez(f, states=found.states(), **{k: getattr(found, k) for k in COLUMNS})
    return found
