"""Sets in tar archives: shards with a table (train.csv, cfp.csv), and WebDataset's shards without one.

A table has the columns shard and name, and identity and split where it knows them. WebDataset's samples are files that
share their name up to the first dot: KEY.jpg (png, webp), and KEY.cls or KEY.json with the label.
"""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain.data.source import PICTURES, Source, check_numbering, state, texts

LABELS = ("label", "identity")  # of a JSON object, in this order
LONGEST = 1 << 20  # bytes of a file with a label


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with columns shard and name; raises UserError where there is none."""
    if not path.is_file():
        raise UserError(path, "not a data set", "the table of a data set", "no such file")
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as f:
        try:
            rows = list(csv.DictReader(f))
        except csv.Error as e:
            raise UserError(path, "not a data set", "a CSV file", str(e)) from e
    if not rows or not {"shard", "name"} <= set(rows[0]):
        got = ",".join(map(str, rows[0])) if rows else "no row"
        raise UserError(path, "not a data set", "rows with the columns shard and name", got)
    for number, row in enumerate(rows, 2):
        if not (row["shard"] and row["name"]):
            raise UserError(f"{path} line {number}", "incomplete row", "a shard and a name", row["shard"] or "nothing")
    return rows


def read_shards(table: Path, progress: Progress = silent) -> Source:
    """The images that a table names, in its order. Raises UserError for a shard that is missing or no plain tar."""
    rows = read_table(table)
    shards = list(dict.fromkeys(row["shard"] for row in rows))
    spans: list[dict[str, tuple[int, int]]] = []
    for shard in shards:
        progress(f"indexing {shard}")
        spans.append({name: (offset, size) for name, offset, size in members(table.parent / shard)})
    number = {shard: k for k, shard in enumerate(shards)}
    file = np.array([number[row["shard"]] for row in rows], np.int32)
    at = np.array([spans[k].get(row["name"], (0, 0)) for k, row in zip(file, rows, strict=True)], np.int64)
    name, identity, split = (texts(row.get(c) or "" for row in rows) for c in ("name", "identity", "split"))
    return Source(table.parent, texts(shards), file, at[:, 0], at[:, 1], name, identity, split)


def read_webdataset(shards: list[Path], progress: Progress = silent) -> Source:
    """The images of WebDataset's shards, in their order; unlabelled where a sample has no label.

    Raises UserError for a gap in the shards' numbers, a shard that is no plain tar, a label that cannot be read.
    """
    check_numbering(shards)
    rows = []
    for k, shard in enumerate(shards):
        progress(f"indexing {shard.name}")
        rows += [(k, offset, size, name, label) for name, offset, size, label in _samples(shard)]
    place = np.array([r[:3] for r in rows], np.int64).reshape(-1, 3)
    return Source(
        shards[0].parent, texts(s.name for s in shards), place[:, 0].astype(np.int32), place[:, 1], place[:, 2],
        texts(r[3] for r in rows), texts(r[4] for r in rows), np.zeros(len(rows), "U1"),
    )  # fmt: skip


def members(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the files in a tar archive; raises UserError where it is missing, cut or compressed."""
    state(path)  # says that it is missing
    end = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            for m in tar:
                if not 0 <= m.size <= end - m.offset_data:  # tarfile would go back, or wait for the next one to say so
                    raise tarfile.ReadError(m.size)
                if m.isreg() and not m.issparse():
                    yield m.name, m.offset_data, m.size
    except Exception as e:  # it raises whatever the damage makes of the headers
        raise UserError(path, "not a shard", "a whole tar archive, not compressed", type(e).__name__) from e


def _samples(shard: Path) -> Iterator[tuple[str, int, int, str]]:
    """Name SHARD/KEY.kind, offset, size and label of the samples of a shard."""
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, str] = {}
    with shard.open("rb") as f:
        for name, offset, size in members(shard):
            folder, slash, base = name.rpartition("/")
            stem, _, kind = base.partition(".")
            key, kind = folder + slash + stem, kind.lower()
            if f".{kind}" in PICTURES:
                pictures[key] = kind, offset, size
            elif kind in ("cls", "json"):
                if size > LONGEST:
                    raise UserError(f"{shard} {name}", "not a label", f"{LONGEST} bytes at most", size)
                f.seek(offset)
                label = _label(f"{shard} {name}", kind, f.read(size))
                if label is not None:
                    labels[key] = label
    for key, (kind, offset, size) in pictures.items():
        yield f"{shard.stem}/{key}.{kind}", offset, size, labels.get(key, "")


def _label(where: str, kind: str, content: bytes) -> str | None:
    """The identity that a .cls or .json file states, if it does."""
    try:
        value: Any = content.decode("utf-8").strip()
        if kind == "json":
            value = json.loads(value)
            value = next((value[k] for k in LABELS if k in value), None) if isinstance(value, dict) else value
    except (ValueError, RecursionError) as e:
        raise UserError(
            where, "label cannot be read", "UTF-8 text" if kind == "cls" else "JSON", type(e).__name__
        ) from e
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    raise UserError(where, "not a label", "a number or a name", json.dumps(value)[:40])
