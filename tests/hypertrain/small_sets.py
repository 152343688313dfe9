"""A training set and an evaluation set as small as they go, in the layouts of tar shards and of CFP."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from synthetic_faces import faces

FOLDS = tuple(f"{i:02d}" for i in range(1, 11))


def shard(path: Path, pictures: dict[str, np.ndarray], kind: str) -> None:
    """A tar archive of the pictures (128, 128, 3) by name."""
    with tarfile.open(path, "w") as tar:
        for name, pixels in pictures.items():
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind)
            entry = tarfile.TarInfo(name)
            entry.size = len(file.getvalue())
            tar.addfile(entry, io.BytesIO(file.getvalue()))


def training_set(root: Path) -> None:
    """Two shards and train.csv: three people to learn, two held out, a few pictures of nobody."""
    people = faces({"train": 3, "val": 2, "unlabelled": 2}, photos=3, side=112)
    shards = ("a.tar", "b.tar")
    rows = ["shard,name,identity,split"]
    for k, (name, who, part) in enumerate(zip(people.names, people.identity, people.split, strict=True)):
        rows.append(f"{shards[k % 2]},{name},{who},{part}")
    root.mkdir()
    for i, kind in enumerate(("JPEG", "PNG")):
        shard(root / shards[i], dict(zip(people.names[i::2], people.crops[i::2], strict=True)), kind)
    (root / "train.csv").write_text("\n".join(rows) + "\n")


def cfp(root: Path) -> None:
    """The layout of CFP: three people, two frontal photos and one profile each, ten folds of two pairs."""
    people = faces({"val": 3}, photos=3, side=112, seed=1)
    kinds = ("frontal-01", "frontal-02", "profile-01")
    names = [f"cfp/{1 + i // 3:03d}/{kinds[i % 3]}.webp" for i in range(9)]
    root.mkdir()
    shard(root / "cfp-00.tar", dict(zip(names, people.crops, strict=True)), "PNG")
    (root / "cfp.csv").write_text("\n".join(["shard,name", *(f"cfp-00.tar,{n}" for n in names)]) + "\n")
    for k, fold in enumerate(FOLDS):
        a, b = k % 3, (k + 1) % 3
        for kind, each, other in (("FF", 10, 2), ("FP", 4, 1)):
            folder = root / "Protocol" / "Split" / kind / fold
            folder.mkdir(parents=True)
            (folder / "same.txt").write_text(f"{10 * a + 1},{each * a + other}\n")
            (folder / "diff.txt").write_text(f"{10 * a + 1},{each * b + other}\n")
