"""A packed set trains elsewhere: the same people and splits, pictures like the originals, embeddings almost theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

from small_sets import training_set

from hyper_mcu.faces.backbone import Backbone, backbone
from hyper_mcu.hypertrain import data
from hyper_mcu.hypertrain.data.pack import pack, rounded


def test_packed_set_is_the_set(tmp_path: Path) -> None:
    training_set(tmp_path / "own")
    own = data.load(tmp_path / "own", tmp_path / "own-cache")
    pack(own, tmp_path / "packed.tar.xz")
    subprocess.run(["tar", "xJf", "packed.tar.xz"], cwd=tmp_path, check=True)
    real = backbone()

    def never(crops: np.ndarray) -> np.ndarray:
        raise AssertionError("embeddings come along")

    blind = Backbone(real.name, real.dimension, real.size, 0, real.licence, real.sha256, never)
    found = data.load(tmp_path / "faces", tmp_path / "cache", blind)
    assert found.identity.tolist() == own.identity.tolist()
    assert found.split.tolist() == own.split.tolist()
    assert (found.enrolled() * own.enrolled()).sum(1).min() > 0.9999
    difference = np.abs(found.crops[np.arange(9)].astype(int) - own.crops[np.arange(9)])
    assert difference.mean() < 8
    assert len(list((tmp_path / "cache" / "embeddings").rglob("part-*"))) == 0


def test_rounding_goes_to_the_nearest() -> None:
    e = np.random.default_rng(0).standard_normal(10000).astype(np.float32)
    r = rounded(e)
    assert np.all(r.view(np.uint16) & 31 == 0)
    relative = np.abs(r.astype(np.float32) / e - 1)
    assert relative.max() < 2**-6 + 2**-10
    assert abs(float((r.astype(np.float32) / e - 1).mean())) < 1e-3
