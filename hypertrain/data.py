"""Identity-labelled crops and their frozen embeddings, decoded once and memory-mapped.

A data set is a folder of tar shards with a `train.csv` (columns shard, name, identity, split, source_scale, ...) or
the CFP layout (`cfp.csv` and `Protocol/`). Crops are 128×128: the central 112×112 is the ArcFace crop.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu.codegen.errors import UserError

CROP, MARGIN = 112, 8  # pixels: the ArcFace crop and what lies around it on each side


@dataclass(frozen=True)
class Faces:
    """Crops uint8 (N, 128, 128, 3) RGB; embeddings float16 (N, 2, d) unit length, of the crop and of its mirror image;
    identity (N,) text, empty where unlabelled; split (N,) text."""

    crops: NDArray[np.uint8]
    embeddings: NDArray[np.float16]
    identity: NDArray[np.str_]
    split: NDArray[np.str_]
    names: NDArray[np.str_]

    def select(self, split: str) -> NDArray[np.int64]:
        """Indices of the images of one split."""
        return np.flatnonzero(self.split == split)


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as dictionaries; raises UserError where there is none."""
    if not path.is_file():
        raise UserError(path, "not a data set", "the table of a data set", "no such file")
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def decode(root: Path, rows: list[dict[str, str]]) -> Iterator[NDArray[np.uint8]]:
    """The crops named by `rows` (columns shard, name), uint8 (128, 128, 3) RGB each, in order."""
    members: dict[str, dict[str, bytes]] = {}
    for row in rows:
        if row["shard"] not in members:
            members[row["shard"]] = read_tar(root / row["shard"])
        yield np.asarray(Image.open(io.BytesIO(members[row["shard"]][row["name"]])).convert("RGB"))


def read_tar(path: Path) -> dict[str, bytes]:
    """The files of a tar archive by name."""
    with tarfile.open(path) as tar:
        return {m.name: f.read() for m in tar if (f := tar.extractfile(m)) is not None}


def embed(backbone: Path, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float16]:
    """Unit-length embeddings float16 (N, 2, d) of the central 112×112 of each crop and of its mirror image."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    net = ort.InferenceSession(str(backbone), options)
    name, out = net.get_inputs()[0].name, []
    for i in range(0, len(crops), batch):
        x = crops[i : i + batch, MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float32).transpose(0, 3, 1, 2)
        both = [net.run(None, {name: (v - 127.5) / 127.5})[0] for v in (x, np.ascontiguousarray(x[..., ::-1]))]
        out.append(np.stack([e / np.linalg.norm(e, axis=1, keepdims=True) for e in both], 1).astype(np.float16))
    return np.concatenate(out)


def load(root: Path, table: str, backbone: Path, cache: Path) -> Faces:
    """Reads a data set; the first call decodes and embeds it into `cache`, keyed by table and backbone.

    `table`: "train.csv" or "cfp.csv". Raises UserError where the folder holds no such data set.
    """
    rows = read_table(root / table)
    key = hashlib.sha256((root / table).read_bytes()).hexdigest()[:12]
    bb = hashlib.sha256(backbone.read_bytes()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    crops_file, emb_file = cache / f"crops-{key}.npy", cache / f"embeddings-{key}-{bb}.npy"
    if not crops_file.exists():
        part = crops_file.with_suffix(".part")
        m = np.lib.format.open_memmap(part, "w+", np.uint8, (len(rows), 128, 128, 3))
        for i, crop in enumerate(decode(root, rows)):
            m[i] = crop
        m.flush()
        part.rename(crops_file)
    crops = np.load(crops_file, mmap_mode="r")
    if not emb_file.exists():
        tmp = emb_file.with_suffix(".part.npy")
        np.save(tmp, embed(backbone, crops))
        tmp.rename(emb_file)

    def column(name: str) -> NDArray[np.str_]:
        return np.array([r.get(name) or "" for r in rows])

    return Faces(crops, np.load(emb_file), column("identity"), column("split"), column("name"))
