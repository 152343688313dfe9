"""Small data sets on disk, in every layout that the readers know, and a backbone that costs nothing."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

MAGIC = 0xCED7230A  # of dmlc RecordIO
Item = tuple[str, str, bytes]  # person ("" where unlabelled), name of the picture, the encoded picture


def crop(seed: int, side: int = 128) -> np.ndarray:
    """A smooth random picture uint8 (side, side, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def items(people: dict[str, int], side: int = 128) -> list[Item]:
    """So many pictures of each person: `crop` of 0, 1, 2, …"""
    found: list[Item] = []
    for person, count in people.items():
        found += [(person, f"{k}.png", encoded(crop(len(found) + k, side))) for k in range(count)]
    return found


@dataclass
class Projection:
    """A fixed random projection of a crop's colours as backbone; counts the crops it has seen, and stops after some."""

    sha256: str = "5e" * 32
    name: str = "projection"
    dimension: int = 16
    size: int = 16
    seen: int = 0
    stop_after: int = 1 << 30
    matrix: np.ndarray = field(default_factory=lambda: np.random.default_rng(5).standard_normal((16 * 3, 64)))

    def embed(self, crops: np.ndarray) -> np.ndarray:
        if self.seen + len(crops) > self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(crops)
        assert crops.shape[1:] == (112, 112, 3)
        blocks = crops.reshape(len(crops), 4, 28, 4, 28, 3).mean((2, 4)).reshape(len(crops), -1) - 128
        e = (blocks @ self.matrix[:, : self.size]).astype(np.float32)
        e[:, : self.dimension] /= np.linalg.norm(e[:, : self.dimension], axis=1, keepdims=True)
        return e


def write_tar(path: Path, entries: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def write_folders(root: Path, found: list[Item]) -> None:
    for person, name, content in found:
        (root / person).mkdir(parents=True, exist_ok=True)
        (root / person / name).write_bytes(content)


def write_shards(root: Path, found: list[Item], split: Callable[[str], str] | None = None) -> None:
    """Two tar shards and train.csv; split: of a person."""
    root.mkdir(exist_ok=True)
    rows = ["shard,name,identity" + (",split" if split else "")]
    shards: dict[str, dict[str, bytes]] = {"a.tar": {}, "b.tar": {}}
    for k, (person, name, content) in enumerate(found):
        shard, full = "ab"[k % 2] + ".tar", f"{person or 'nobody'}/{name}"
        shards[shard][full] = content
        rows.append(f"{shard},{full},{person}" + (f",{split(person)}" if split else ""))
    for shard, entries in shards.items():
        write_tar(root / shard, entries)
    (root / "train.csv").write_text("\n".join(rows) + "\n")


def write_webdataset(root: Path, found: list[Item], each: int = 3) -> None:
    """Shards faces-000000.tar, …; labels by turns as .cls and as .json, none where there is no person."""
    root.mkdir(exist_ok=True)
    for k in range(0, len(found), each):
        entries: dict[str, bytes] = {}
        for i, (person, _, content) in enumerate(found[k : k + each], k):
            entries[f"part/{i:05d}.png"] = content
            if person and i % 2:
                entries[f"part/{i:05d}.cls"] = person.encode()
            elif person:
                entries[f"part/{i:05d}.json"] = json.dumps({"label": person, "width": 128}).encode()
        write_tar(root / f"faces-{k // each:06d}.tar", entries)


def write_parquet(root: Path, found: list[Item], each: int = 4, nested: bool = False) -> None:
    """Files of so many rows; nested: as Hugging Face has it, images a struct of bytes and path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / "data" if nested else root
    folder.mkdir(parents=True, exist_ok=True)
    parts = [found[k : k + each] for k in range(0, len(found), each)]
    for n, part in enumerate(parts):
        picture = [{"bytes": c, "path": name} if nested else c for _, name, c in part]
        table = pa.table(
            {"image": picture, "label" if nested else "identity": [person or None for person, _, _ in part]}
        )
        pq.write_table(table, folder / f"train-{n:05d}-of-{len(parts):05d}.parquet", row_group_size=2)


def record(content: bytes) -> bytes:
    """A dmlc record: split, without it, wherever the magic stands at a multiple of four."""
    magic = struct.pack("<I", MAGIC)
    cuts = [i for i in range(0, len(content) - 3, 4) if content[i : i + 4] == magic]
    begins, ends = [0, *(c + 4 for c in cuts)], [*cuts, len(content)]
    out = b""
    for k, (a, b) in enumerate(zip(begins, ends, strict=True)):
        more = 0 if not cuts else 1 if k == 0 else 3 if k == len(cuts) else 2
        out += struct.pack("<II", MAGIC, more << 29 | (b - a)) + content[a:b] + bytes(-(b - a) % 4)
    return out


def packed(labels: list[float], number: int, content: bytes, flag: int | None = None) -> bytes:
    """IRHeader and content of a record: one label in the header, or several behind it."""
    flag = (len(labels) if len(labels) > 1 else 0) if flag is None else flag
    head = struct.pack("<IfQQ", flag, 0.0 if flag else labels[0], number, 0)
    return head + (struct.pack(f"<{len(labels)}f", *labels) if flag else b"") + content


def write_records(rec: Path, records: list[tuple[int, bytes]], index: bool = True) -> None:
    rec.parent.mkdir(exist_ok=True)
    body, lines = b"", []
    for number, content in records:
        lines.append(f"{number}\t{len(body)}\n")
        body += record(content)
    rec.write_bytes(body)
    if index:
        rec.with_suffix(".idx").write_text("".join(lines))


def insightface(found: list[Item], vector: bool = True) -> list[tuple[int, bytes]]:
    """Records as InsightFace writes them: 0 states the ranges, images from 1 on, then each person's range.

    People are numbered in the order in which they come. vector: an image's label is the first of two.
    """
    people = list(dict.fromkeys(person for person, _, _ in found))
    first = len(found) + 1
    records = [(0, packed([float(first), float(first + len(people))], 0, b""))]
    for number, (person, _, content) in enumerate(found, 1):
        labels = [float(people.index(person)), 0.0] if vector else [float(people.index(person))]
        records.append((number, packed(labels, number, content)))
    for k, person in enumerate(people):
        own = [n for n, item in enumerate(found, 1) if item[0] == person]
        records.append((first + k, packed([float(own[0]), float(own[-1] + 1)], first + k, b"")))
    return records


def write_insightface(root: Path, found: list[Item], vector: bool = True) -> None:
    write_records(root / "train.rec", insightface(found, vector))


LAYOUTS: dict[str, Callable[[Path, list[Item]], None]] = {
    "folder": write_folders,
    "shards": write_shards,
    "webdataset": write_webdataset,
    "parquet": write_parquet,
    "parquet of Hugging Face": lambda root, found: write_parquet(root, found, nested=True),
    "recordio": write_insightface,
    "recordio, labels in the header": lambda root, found: write_insightface(root, found, vector=False),
}
