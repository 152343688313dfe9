"""A training set and its embeddings as one small archive, to be carried to a machine that trains.

    python -m hyper_mcu.hypertrain.data.pack --data FACES --out packed.tar.xz
    tar xJf packed.tar.xz; hyper-mcu train --data faces --cache cache --out run     # there

Crops are encoded again, smaller; embeddings are those of the originals, the mean of crop and mirror image in the place
of both, rounded to five bits of mantissa (cosine to the true one above 0.9999). The other machine needs no backbone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu.codegen import files
from hyper_mcu.codegen.progress import Progress, counting, silent
from hyper_mcu.hypertrain.data.faces import Faces
from hyper_mcu.hypertrain.data.loading import load

MANTISSA = 5  # bits that are kept of float16's ten
BLOCK = 256  # images encoded at a time
SHARD = "train-00.tar"


def rounded(e: NDArray[np.float32]) -> NDArray[np.float16]:
    """Embeddings as float16 whose last bits are zero, which archives compress."""
    drop = 10 - MANTISSA
    bits = e.astype(np.float16).view(np.uint16).astype(np.uint32) + (1 << (drop - 1))
    return ((bits >> drop) << drop).astype(np.uint16).view(np.float16)


def pack(faces: Faces, out: Path, quality: int = 45, progress: Progress = silent) -> None:
    """Writes the archive `out` (.tar.xz): faces/train.csv and its shard, cache/embeddings/…; raises UserError where it
    cannot be written. quality: of the crops, WebP's 0…100."""
    hashes, shard = [], io.BytesIO()
    tell = counting(progress, "packing crops", len(faces.names))
    with tarfile.open(fileobj=shard, mode="w") as tar:
        for start in range(0, len(faces.names), BLOCK):
            tell(start)
            rows = np.arange(start, min(start + BLOCK, len(faces.names)))
            for row, crop in zip(rows, faces.crops[rows], strict=True):
                content = io.BytesIO()
                Image.fromarray(crop).save(content, "WEBP", quality=quality, method=6)
                hashes.append(hashlib.sha256(content.getvalue()).digest()[:16])
                _add(tar, f"{row:07d}.webp", content.getvalue())
    both = np.repeat(rounded(faces.enrolled())[:, None], 2, axis=1)
    kept = f"cache/embeddings/{faces.backbone_sha256[:16]}/packed"
    progress("compressing")
    with files.replacing(out) as part, tarfile.open(part, "w:xz") as tar:
        _add(tar, "faces/train.csv", _table(faces).encode())
        _add(tar, f"faces/{SHARD}", shard.getvalue())
        _add(tar, f"{kept}.hashes.npy", _npy(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)))
        _add(tar, f"{kept}.npy", _npy(both))


def _table(faces: Faces) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["shard", "name", "identity", "split"])
    for row, (who, split) in enumerate(zip(faces.identity, faces.split, strict=True)):
        table.writerow([SHARD, f"{row:07d}.webp", who, split])
    return text.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _npy(array: NDArray[np.generic]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="A training set and its embeddings as one small archive.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the set, of any layout")
    parser.add_argument("--out", type=Path, required=True, help="the archive, .tar.xz")
    parser.add_argument("--quality", type=int, default=45, help="of the crops, WebP's 0 to 100")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    o = parser.parse_args()
    pack(load(o.data, o.cache), o.out, o.quality)
    print(f"{o.out}: {o.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
