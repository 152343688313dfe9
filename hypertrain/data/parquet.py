"""Sets in parquet files: a column of encoded images, and one of labels.

Images are bytes, or Hugging Face's struct of bytes and path. Parquet cannot be read at one image, so the images of each
file are copied once into a file of the cache.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain.data.source import Source, check_numbering, state, texts

LABELS = ("label", "identity", "labels", "person", "name")  # columns that say who it is, the first that is there
BATCH = 256  # rows in memory at a time


def shards(root: Path) -> list[Path]:
    """The parquet files in `root` or `root`/data; of files named by split those of `train`."""
    found = sorted(root.glob("*.parquet")) or sorted(root.glob("data/*.parquet"))
    return [p for p in found if p.name.startswith("train-")] or found


def read(parquets: list[Path], cache: Path, progress: Progress = silent) -> Source:
    """The images of parquet files, copied into `cache`.

    Raises UserError for a gap in the files' numbers, a file that is none, and missing columns.
    """
    check_numbering(parquets)
    tables = []
    for p in parquets:
        progress(f"copying images of {p.name}")
        tables.append(_unpacked(p, cache))
    offset, length, names, identity, split = (np.concatenate(c) for c in zip(*(t[1:] for t in tables), strict=True))
    file = np.repeat(np.arange(len(tables), dtype=np.int32), [len(t[1]) for t in tables])
    return Source(cache, texts(t[0] for t in tables), file, offset, length, names, identity, split)


def _unpacked(path: Path, cache: Path) -> tuple[Any, ...]:
    """Name of the file with the images in the cache, then offset, length, name, identity and split of each image."""
    key = f"{state(path):016x}"
    images, index = cache / f"parquet-{key}.bin", cache / f"parquet-{key}.npz"
    found = _recalled(images, index)
    if found is None:
        rows: list[tuple[int, str, str]] = []
        with files.replacing(images) as part, part.open("wb") as f:
            for content, label, split in _rows(path):
                f.write(content)
                rows.append((len(content), label, split))
        length = np.array([r[0] for r in rows], np.int64)
        with files.replacing(index) as part, part.open("wb") as f:
            np.savez(
                f, offset=np.cumsum(length) - length, length=length,
                names=texts(f"{path.stem}/{k}" for k in range(len(rows))),
                identity=texts(r[1] for r in rows), split=texts(r[2] for r in rows),
            )  # fmt: skip
        found = _recalled(images, index)
        if found is None:
            raise RuntimeError(f"{index} is not what was written")
    return images.name, *found


def _recalled(images: Path, index: Path) -> tuple[Any, ...] | None:
    """What the index says of the images, or nothing where either is missing or damaged."""
    try:
        with np.load(index) as stored:
            found = tuple(stored[k] for k in ("offset", "length", "names", "identity", "split"))
        return found if images.stat().st_size == found[1].sum() else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _rows(path: Path) -> Iterator[tuple[bytes, str, str]]:
    """Encoded image, label and split of each row; no bytes where a row has no image."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        from hyper_mcu.codegen import install

        raise UserError(path, "needs pyarrow", install.extra("train"), "no such package") from None
    try:
        with pq.ParquetFile(path) as table:
            picture, label, split = _columns(path, table.schema_arrow)
            wanted = [c for c in (picture, label, split) if c]
            for batch in table.iter_batches(BATCH, columns=wanted):
                rows = batch.to_pydict()
                for k, found in enumerate(rows[picture]):
                    content = found.get("bytes") if isinstance(found, dict) else found
                    who = rows[label][k] if label else None
                    yield content or b"", "" if who is None else str(who), (rows[split][k] or "") if split else ""
    except (OSError, pa.ArrowException) as e:
        raise UserError(path, "not a parquet file", "a whole one", str(e).splitlines()[0][:80]) from e


def _columns(path: Path, schema: Any) -> tuple[str, str, str]:
    """Names of the columns with images, labels and splits; the latter two empty where there is none."""
    import pyarrow.types as t

    def encoded(kind: Any) -> bool:
        if t.is_struct(kind):
            return any(f.name == "bytes" and encoded(f.type) for f in kind)
        return bool(t.is_binary(kind) or t.is_large_binary(kind))

    def scalar(kind: Any) -> bool:
        kind = kind.value_type if t.is_dictionary(kind) else kind
        return bool(t.is_integer(kind) or t.is_string(kind) or t.is_large_string(kind) or t.is_null(kind))

    pictures = [f.name for f in schema if encoded(f.type)]
    label = next((n for n in LABELS if n in schema.names), "")
    if not pictures:
        raise UserError(path, "no column of images", "one of bytes, or of bytes and path", ", ".join(schema.names))
    for name in (label, "split"):
        if name in schema.names and not scalar(kind := schema.field(name).type):
            raise UserError(path, f"column {name}", "whole numbers or text", kind)
    return pictures[0], label, "split" if "split" in schema.names else ""
