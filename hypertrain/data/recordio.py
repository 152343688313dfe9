"""InsightFace's sets: train.rec with train.idx, dmlc RecordIO (MS1M, Glint360K, WebFace4M/12M).

A record is magic, a word with 3 bits of continuation and 29 of length, the bytes, and padding to a multiple of 4. Bytes
that hold the magic at a multiple of 4 are split there into several parts without it. An image's record is IRHeader
(flag, label, two ids; flag > 0: so many further labels) and the encoded image. Record 0 of a set has two labels: images
are numbered below the first; the records from there to the second state each person's range and hold no image. Every
image's record has its own label, so neither they nor train.lst are needed. (Formats: dmlc-core's recordio.h, MXNet's
recordio.py, InsightFace's face2rec2.py.)
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain.data.source import Source, numbers, texts

MAGIC = 0xCED7230A
HEADER = struct.Struct("<IfQQ")  # IRHeader
EXACT = 1 << 24  # labels are float32: numbers below it are exact
START = np.dtype(
    [("magic", "<u4"), ("word", "<u4"), ("flag", "<u4"), ("label", "<f4"), ("ids", "<u8", 2), ("first", "<f4")]
)  # of a record, and the first of its further labels
SPLIT = -1  # as length of an image: its record has several parts, of which its offset is the begin
BLOCK = 1 << 20  # records looked at in one go


def read(recs: list[Path], progress: Progress = silent) -> Source:
    """The images of record files by their numbers. Raises UserError for a file that is cut or whose index is of another
    file, and for a label that is no whole number."""
    parts = []
    for k, rec in enumerate(recs):
        progress(f"indexing {rec.name}")
        keys, offsets = _index(rec)
        found = [_images(rec, keys[i : i + BLOCK], offsets[i : i + BLOCK]) for i in range(0, len(keys), BLOCK)]
        key, offset, length, label = (np.concatenate(column) for column in zip(*found, strict=True))
        below = _images_below(rec, keys, offsets)
        if below and keys[-1] < below - 1 and not rec.with_suffix(".idx").is_file():
            raise UserError(rec, "record file is cut", f"records up to {below - 1}, by the first one", keys[-1])
        keep = key < below if below else np.ones(len(key), bool)
        parts.append((np.full(keep.sum(), k, np.int32), offset[keep], length[keep], key[keep], label[keep]))
    file, offset, length, key, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    names = numbers(key)
    if len(recs) > 1:
        names = np.char.add(np.char.add(texts(r.stem for r in recs)[file], "/"), names)
    return Source(
        recs[0].parent, texts(r.name for r in recs), file, offset, length, names, numbers(label),
        np.zeros(len(key), "U1"), image,
    )  # fmt: skip


def image(file: BinaryIO, offset: int, length: int) -> bytes:
    """The encoded image at a span, or at a record of several parts."""
    if length != SPLIT:
        file.seek(offset)
        return file.read(length)
    content = record(file, offset)
    return content[HEADER.size + 4 * HEADER.unpack_from(content)[0] :]


def record(file: BinaryIO, offset: int) -> bytes:
    """The bytes of the record at `offset`, its parts joined; raises ValueError where there is no whole record."""
    file.seek(offset)
    parts: list[bytes] = []
    while True:
        head = file.read(8)
        if len(head) < 8 or int.from_bytes(head[:4], "little") != MAGIC:
            raise ValueError("no record")
        word = int.from_bytes(head[4:], "little")
        part, more = word & 0x1FFFFFFF, word >> 29
        parts.append(file.read(part))
        if len(parts[-1]) < part:
            raise ValueError("record is cut")
        if more in (0, 3):
            return MAGIC.to_bytes(4, "little").join(parts)
        file.seek(-part % 4, 1)


def _index(rec: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers and offsets of the records, by number: from the .idx, or else by walking through the file."""
    idx = rec.with_suffix(".idx")
    if idx.is_file():
        try:
            table = np.array(idx.read_bytes().split(), np.int64).reshape(-1, 2)
        except (ValueError, OverflowError) as e:
            raise UserError(idx, "not an index", "lines of a record's number and offset", str(e)[:80]) from e
    else:
        table = np.array([(k, offset) for k, offset in enumerate(_walk(rec))], np.int64).reshape(-1, 2)
    if len(table) == 0:
        raise UserError(idx if idx.is_file() else rec, "no records", "an InsightFace set", "an empty file")
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 0], table[:, 1]


def _walk(rec: Path) -> list[int]:
    """Offsets of all records, one behind the other."""
    found, size = [], rec.stat().st_size
    with rec.open("rb") as f:
        while (at := f.tell()) < size:
            magic, word = struct.unpack("<II", f.read(8).ljust(8, b"\0"))
            if magic != MAGIC:
                raise UserError(rec, f"no record at byte {at}", f"magic {MAGIC:#010x}", f"{magic:#010x}")
            if word >> 29 in (0, 1):
                found.append(at)
            f.seek((word & 0x1FFFFFFF) + -(word & 0x1FFFFFFF) % 4, 1)
    return found


def _images(
    rec: Path, keys: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Number, offset, length and label of those of the records that hold an image."""
    content = np.memmap(rec, np.uint8, "r") if rec.stat().st_size else np.empty(0, np.uint8)
    if (offsets < 0).any() or (offsets > len(content) - 8).any():
        raise UserError(rec, "record file is cut", f"the {offsets.max()} bytes of its index and more", len(content))
    where = np.minimum(offsets[:, None] + np.arange(START.itemsize), len(content) - 1)
    start = np.ascontiguousarray(content[where]).view(START)[:, 0]
    if (bad := start["magic"] != MAGIC).any():
        raise UserError(rec, f"no record at byte {offsets[bad][0]}", "what its index says", "something else")
    flag, length = start["flag"].astype(np.int64), (start["word"] & 0x1FFFFFFF).astype(np.int64)
    label = np.where(flag > 0, start["first"], start["label"]).astype(np.float64)
    head = HEADER.size + 4 * flag
    split = start["word"] >> 29 == 1
    offset, size = np.where(split, offsets, offsets + 8 + head), np.where(split, SPLIT, length - head)
    with rec.open("rb") as f:
        for i in np.flatnonzero(split):
            try:
                flags, first, _, _ = HEADER.unpack_from(whole := record(f, int(offsets[i])))
                label[i] = struct.unpack_from("<f", whole, HEADER.size)[0] if flags else first
            except (ValueError, struct.error) as e:
                raise UserError(rec, f"record {keys[i]}", "a whole one", str(e)) from e
    if (offsets + 8 + length > len(content)).any():
        raise UserError(rec, "record file is cut", "the end of its last record", f"{len(content)} bytes")
    there = split | (size > 0)
    if (bad := there & ~((label == np.floor(label)) & (label >= 0) & (label < EXACT))).any():
        raise UserError(rec, f"label of record {keys[bad][0]}", "the number of a person", label[bad][0])
    return keys[there], offset[there], size[there], label[there].astype(np.int64)


def _images_below(rec: Path, keys: NDArray[np.int64], offsets: NDArray[np.int64]) -> int:
    """The number that images are below, where record 0 states it exactly; else 0."""
    if keys[0] != 0:
        return 0
    with rec.open("rb") as f:
        content = record(f, int(offsets[0]))
    flag = HEADER.unpack_from(content)[0] if len(content) >= HEADER.size else 0
    if flag != 2 or len(content) != HEADER.size + 4 * flag:
        return 0
    first = struct.unpack_from("<f", content, HEADER.size)[0]
    return int(first) if 0 < first < EXACT else 0
