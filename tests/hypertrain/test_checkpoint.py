"""Checkpoints belong to an architecture and a backbone."""

import errno
import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.presets import preset
from hyper_mcu.hypertrain import checkpoint
from hyper_mcu.hypertrain.distill import Trunk

NANO, PAPER = preset("nano"), preset("paper")


def said(path: Path, *arguments: object) -> str:
    with pytest.raises(UserError) as e:
        checkpoint.load(path, *arguments)
    return str(e.value)


def test_saved_trunk_is_loaded(tmp_path: Path) -> None:
    trunk, again = Trunk(NANO, 16, 1), Trunk(NANO, 16, 2)
    checkpoint.save(tmp_path / "trunk.pt", trunk, NANO, "a" * 64)
    checkpoint.load(tmp_path / "trunk.pt", again, NANO, "a" * 64)
    assert torch.equal(trunk.theta, again.theta)
    assert torch.equal(trunk.head, again.head)
    assert [p.name for p in tmp_path.iterdir()] == ["trunk.pt"]


def test_full_disk_is_one_line_and_keeps_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trunk.pt"
    path.write_text("old")

    def no_space(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UserError) as e:
        checkpoint.save(path, Trunk(NANO, 16, 1), NANO, "a" * 64)
    assert str(e.value) == f"{path}: cannot write; expected space and permission, got no space left on device"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("trunk.pt", "old")]


def test_trunk_of_another_netspec_or_backbone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trunk.pt"
    checkpoint.save(path, Trunk(NANO, 16, 1), NANO, "a" * 64)
    assert said(path, Trunk(PAPER, 16, 1), PAPER, "a" * 64) == (
        f"{path}: checkpoint of another NetSpec; expected paper@1 {PAPER.sha256[:16]}, got nano@1 {NANO.sha256[:16]}"
    )
    assert said(path, Trunk(NANO, 16, 1), NANO, "b" * 64) == (
        f"{path}: checkpoint of another backbone; expected {'b' * 16}, got {'a' * 16}"
    )


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    expected = f"{path}: not a checkpoint; expected a trunk.pt written by hyper-mcu train, got "
    assert said(path, Trunk(NANO, 16, 1), NANO, "") == expected + "no such file"
    path.write_bytes(b"not a checkpoint")
    assert said(path, Trunk(NANO, 16, 1), NANO, "").startswith(expected)
