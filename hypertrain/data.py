"""Identity-labelled crops and their frozen embeddings, decoded once and memory-mapped.

A data set is a folder of tar shards with a `train.csv` (columns shard, name, identity, split) or
the CFP layout (`cfp.csv` and `Protocol/`). Crops are 128×128: the central 112×112 is the ArcFace crop.
"""

from __future__ import annotations

import csv
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.faces.backbone import embed
from hyper_mcu.faces.photo import FORMATS
from hyper_mcu.faces.weights import sha256_of

BACKBONE = "mbf-w600k"
CROP, MARGIN = 112, 8  # pixels: the ArcFace crop and what lies around it on each side
SIDE = CROP + 2 * MARGIN


@dataclass(frozen=True)
class Faces:
    """Crops uint8 (N, 128, 128, 3) RGB; embeddings float16 (N, 2, d) unit length, of the crop and of its mirror image;
    identity (N,) text, empty where unlabelled; split (N,) text; names (N,) of the files; backbone_sha256 of what
    embedded them."""

    crops: NDArray[np.uint8]
    embeddings: NDArray[np.float16]
    identity: NDArray[np.str_]
    split: NDArray[np.str_]
    names: NDArray[np.str_]
    backbone_sha256: str = ""

    def select(self, split: str) -> NDArray[np.int64]:
        """Indices of the images of one split."""
        return np.flatnonzero(self.split == split)


def check_people(faces: Faces) -> None:
    """Raises UserError where an image to train or to check on has no identity, or a person is on both sides."""
    sides = []
    for split in ("train", "val"):
        people = faces.identity[faces.select(split)]
        if (people == "").any():
            first = faces.names[faces.select(split)][people == ""][0]
            raise UserError(
                "train.csv", f"image of split {split} without identity", "a name, or split unlabelled", first
            )
        sides.append(set(people.tolist()))
    names, photos = np.unique(faces.identity[faces.select("val")], return_counts=True)
    if len(names) < 2 or photos.max(initial=0) < 2:
        got = f"{len(names)} people, {photos.max(initial=0)} images at most"
        raise UserError("train.csv", "too few in split val", "two people, one of them with two images", got)
    if both := sorted(sides[0] & sides[1]):
        raise UserError(
            "train.csv", "people of split val in split train too", "people in one of them", ", ".join(both[:3])
        )


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
        raise UserError(
            path, "not a data set", "rows with the columns shard and name", ",".join(rows[0]) if rows else "no row"
        )
    for number, row in enumerate(rows, 2):
        if not (row["shard"] and row["name"]):
            raise UserError(f"{path} line {number}", "incomplete row", "a shard and a name", row["shard"] or "nothing")
    return rows


def decode(root: Path, rows: list[dict[str, str]]) -> Iterator[NDArray[np.uint8]]:
    """The crops named by `rows` (columns shard, name), uint8 (128, 128, 3) RGB each, in order.

    Raises UserError for a shard or an image that is missing, damaged or of another size.
    """
    members: dict[str, dict[str, bytes]] = {}
    for row in rows:
        if row["shard"] not in members:
            members[row["shard"]] = read_tar(root / row["shard"])
        where = f"{root / row['shard']} {row['name']}"
        if row["name"] not in members[row["shard"]]:
            raise UserError(where, "no such image in the shard", "what the table names", "nothing")
        try:
            with Image.open(io.BytesIO(members[row["shard"]][row["name"]]), formats=FORMATS) as image:
                if image.size != (SIDE, SIDE):
                    raise UserError(where, "crop of another size", f"{SIDE}×{SIDE}", f"{image.width}×{image.height}")
                pixels = np.asarray(image.convert("RGB"))
        except UserError:
            raise
        except Exception as e:  # decoders raise whatever the damage makes of the data
            raise UserError(where, "damaged image", "a picture (" + ", ".join(FORMATS) + ")", type(e).__name__) from e
        yield pixels


def read_tar(path: Path) -> dict[str, bytes]:
    """The files of a tar archive by name; raises UserError where it is none."""
    try:
        with tarfile.open(path) as tar:
            return {m.name: f.read() for m in tar if m.isfile() and (f := tar.extractfile(m)) is not None}
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError) as e:
        raise UserError(path, "not a shard", "a tar archive", type(e).__name__) from e


def embedded(crops: NDArray[np.uint8], batch: int = 64, progress: Progress = silent) -> NDArray[np.float16]:
    """Unit embeddings float16 (N, 2, d) of the central 112×112 of each crop and of its mirror image."""
    out = []
    for i in range(0, len(crops), batch):
        progress(f"embedding crops: {i} of {len(crops)}")
        x = np.ascontiguousarray(crops[i : i + batch, MARGIN:-MARGIN, MARGIN:-MARGIN])
        both = [embed(v, name=BACKBONE) for v in (x, np.ascontiguousarray(x[:, :, ::-1]))]
        out.append(np.stack(both, 1).astype(np.float16))
    return np.concatenate(out)


def load(root: Path, table: str, cache: Path, progress: Progress = silent) -> Faces:
    """Reads a data set; the first call decodes and embeds it into `cache`, keyed by table and backbone.

    `table`: "train.csv" or "cfp.csv". Raises UserError where the folder holds no such data set.
    """
    backbone_sha256 = sha256_of(BACKBONE)
    rows = read_table(root / table)
    key = hashlib.sha256((root / table).read_bytes()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    crops_file, emb_file = cache / f"crops-{key}.npy", cache / f"embeddings-{key}-{backbone_sha256[:12]}.npy"
    if not crops_file.exists():
        with files.replacing(crops_file) as part:
            m = np.lib.format.open_memmap(part, "w+", np.uint8, (len(rows), SIDE, SIDE, 3))
            for i, crop in enumerate(decode(root, rows)):
                if i % 100 == 0:
                    progress(f"decoding crops: {i} of {len(rows)}")
                m[i] = crop
            m.flush()
    crops = np.load(crops_file, mmap_mode="r")
    if not emb_file.exists():
        with files.replacing(emb_file) as part, part.open("wb") as f:
            np.save(f, embedded(crops, progress=progress))

    def column(name: str) -> NDArray[np.str_]:
        return np.array([r.get(name) or "" for r in rows])

    return Faces(crops, np.load(emb_file), column("identity"), column("split"), column("name"), backbone_sha256)
