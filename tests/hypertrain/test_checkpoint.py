"""Checkpoints belong to an architecture, a backbone and a module; what is written is read, whole or not at all."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from safetensors.torch import save_file

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.presets import preset
from hyper_mcu.hypertrain import checkpoint
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.distill import Trunk

NANO, PAPER = preset("nano"), preset("paper")
ABOUT = About(NANO, "a" * 64, "distill", 12, 0.25, '{"x": 1}')


def said(path: Path, *arguments: object) -> str:
    with pytest.raises(UserError) as e:
        checkpoint.fill(checkpoint.read(path), *arguments)
    return str(e.value)


def test_saved_module_and_what_it_belongs_to_are_read_again(tmp_path: Path) -> None:
    path, trunk, again = tmp_path / "t.safetensors", Trunk(NANO, 16, 1), Trunk(NANO, 16, 2)
    checkpoint.save(path, trunk, ABOUT)
    c = checkpoint.read(path)
    assert c.about == checkpoint.about(path) == ABOUT
    checkpoint.fill(c, again, NANO, "a" * 64)
    assert all(torch.equal(a, b) for a, b in zip(trunk.state_dict().values(), again.state_dict().values(), strict=True))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", [torch.optim.AdamW, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)])
def test_an_optimiser_goes_on_as_if_never_stopped(tmp_path: Path, kind) -> None:
    def step(module: Trunk, optimiser: torch.optim.Optimizer, seed: int) -> None:
        e = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed))
        optimiser.zero_grad()
        (module.enrol(e).sum() + module.theta.square().sum()).backward()
        optimiser.step()

    path, trunk, again = tmp_path / "t.safetensors", Trunk(NANO, 16, 1), Trunk(NANO, 16, 2)
    one, other = kind(trunk.parameters(), lr=0.1), kind(again.parameters(), lr=0.1)
    step(trunk, one, 0)
    checkpoint.save(path, trunk, ABOUT, one)
    c = checkpoint.read(path)
    checkpoint.fill(c, again, NANO, "a" * 64)
    checkpoint.fill_optimiser(c, other)
    for module, optimiser in ((trunk, one), (again, other)):
        step(module, optimiser, 1)
    assert torch.equal(trunk.theta, again.theta)
    assert torch.equal(trunk.head, again.head)


def test_full_disk_is_one_line_and_keeps_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.safetensors"
    path.write_text("old")

    def no_space(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UserError) as e:
        checkpoint.save(path, Trunk(NANO, 16, 1), ABOUT)
    assert str(e.value) == f"{path}: cannot write; expected space and permission, got no space left on device"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, "old")]


def test_checkpoint_of_another_netspec_backbone_or_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    checkpoint.save(path, Trunk(NANO, 16, 1), ABOUT)
    assert said(path, Trunk(PAPER, 16, 1), PAPER, "a" * 64) == (
        f"{path}: checkpoint of another NetSpec; expected paper@1 {PAPER.sha256[:16]}, got nano@1 {NANO.sha256[:16]}"
    )
    assert said(path, Trunk(NANO, 16, 1), NANO, "b" * 64) == (
        f"{path}: checkpoint of another backbone; expected {'b' * 16}, got {'a' * 16}"
    )
    assert said(path, Trunk(NANO, 20, 1), NANO, "a" * 64) == (
        f"{path}: checkpoint of another Trunk: head; expected ({NANO.head_size}, 20), got ({NANO.head_size}, 16)"
    )


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    expected = f"{path}: not a checkpoint; expected a checkpoint written by hyper-mcu train, got "
    assert said(path, Trunk(NANO, 16, 1), NANO, "") == expected + "no such file"
    assert said(tmp_path, Trunk(NANO, 16, 1), NANO, "").endswith("got a folder")
    path.write_bytes(b"not a checkpoint")
    assert said(path, Trunk(NANO, 16, 1), NANO, "").startswith(expected)
    save_file({"module.theta": torch.zeros(3)}, path)
    assert said(path, Trunk(NANO, 16, 1), NANO, "") == expected + "KeyError"
    checkpoint.save(path, Trunk(NANO, 16, 1), replace(ABOUT, stage="x"))
    assert said(path, torch.nn.Linear(1, 1), NANO, "a" * 64).startswith(f"{path}: checkpoint of another Linear: ")
