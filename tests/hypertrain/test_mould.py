"""mould.py: a trunk of another architecture, fitted to one that is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.presets import same
from hyper_mcu.hypertrain.distill import Trunk
from hyper_mcu.hypertrain.mould import mould

SMALL = NetSpec(
    "small",
    (
        same(3, 3, 8, stride=2),
        same(3, 8, 16, 2, 2),
        Shuffle(4),
        same(3, 16, 16, 4),
        Add(1),
        same(1, 16, 8, relu=False),
    ),
    Head("cosdot"),
    height=32,
    width=32,
    norm="train-statistics",
)


def trained(spec: NetSpec, redundant: bool = False) -> Trunk:
    """A trunk with random weights whose statistics are those of `images`. redundant: its first channels come twice."""
    trunk = Trunk(spec, 16, 3)
    with torch.no_grad():
        if redundant:
            size = next(t for t in spec.tensors if t.name == "stage0.weight").size
            first = trunk.theta[:size].view(8, -1)
            first[1::2] = first[::2]
    trunk.stats.calibrate(spec, trunk.theta, images())
    return trunk


def images(n: int = 24) -> torch.Tensor:
    return torch.rand((n, 3, 32, 32), generator=torch.Generator().manual_seed(5)) * 2 - 1


def test_the_same_architecture_becomes_the_same_network() -> None:
    old, new = trained(SMALL), Trunk(SMALL, 16, 4)
    explained = mould(old, new, images())
    assert min(explained) > 0.98
    cosines = (old.look(images(), amp=False) * new.look(images(), amp=False)).sum(1)
    assert cosines.min() > 0.97
    assert torch.equal(old.head, new.head)


def test_of_channels_that_come_twice_half_are_enough() -> None:
    """Two groups that read four channels each, two and two alike, against two that read two."""
    narrow = replace(SMALL, id="narrow", layers=(same(3, 3, 4, stride=2), same(3, 4, 16, 2, 2), *SMALL.layers[2:]))
    old, new = trained(SMALL, redundant=True), Trunk(narrow, 16, 4)
    explained = mould(old, new, images())
    assert min(explained) > 0.98
    assert (old.look(images(), amp=False) * new.look(images(), amp=False)).sum(1).min() > 0.97


def test_other_groups_explain_a_part_and_start_closer_than_chance() -> None:
    other = replace(SMALL, id="other", layers=(SMALL.layers[0], SMALL.layers[1], *SMALL.layers[3:]))
    old, new, untrained = trained(SMALL), Trunk(other, 16, 4), trained(other)
    explained = mould(old, new, images())
    assert 0.05 < explained[2] < 0.9
    near, far = ((old.look(images(), amp=False) * t.look(images(), amp=False)).sum(1).mean() for t in (new, untrained))
    assert near > far + 0.2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (SMALL.layers[:5], "start.mould: convolutions; expected as many as small has, of maps as large, got other"),
        (
            (same(3, 3, 8), same(3, 8, 16, 2, 2), Shuffle(4), same(3, 16, 16, 4), Add(1), same(1, 16, 2, relu=False)),
            "start.mould: convolutions; expected as many as small has, of maps as large, got other",
        ),
        (
            (same(3, 3, 16, stride=2), same(3, 16, 16, 2, 2), *SMALL.layers[2:]),
            "start.mould: channels; expected the channels of small, or fewer where a convolution of as many as there "
            "follows, got other",
        ),
        (
            (SMALL.layers[0], same(3, 8, 8, 2, 2), Shuffle(4), same(3, 8, 8, 4), Add(1), same(1, 8, 8, relu=False)),
            "start.mould: channels; expected the channels of small, or fewer where a convolution of as many as there "
            "follows, got other",
        ),
    ],
)  # fmt: skip
def test_what_does_not_correspond_is_refused(layers: tuple[Conv | Shuffle | Add, ...], message: str) -> None:
    other = replace(SMALL, id="other", layers=layers, head=Head("cosdot", layers == SMALL.layers[:5]))
    with pytest.raises(UserError) as e:
        mould(trained(SMALL), Trunk(other, 16, 0), images())
    assert str(e.value) == message


def test_other_norms_are_refused() -> None:
    with pytest.raises(UserError, match=r"start\.mould: normalisation; expected train-statistics of both, got"):
        mould(Trunk(replace(SMALL, norm="none"), 16, 0), Trunk(SMALL, 16, 0), images())


def test_too_many_choices_are_refused() -> None:
    """Of 32 channels 16 for a dense convolution: 601,080,390 sets."""
    wide = (same(3, 3, 32, stride=2), same(3, 32, 16, 1, 2), *SMALL.layers[2:])
    narrow = (same(3, 3, 16, stride=2), same(3, 16, 16, 1, 2), *SMALL.layers[2:])
    old = trained(replace(SMALL, id="wide", layers=wide))
    with pytest.raises(UserError) as e:
        mould(old, Trunk(replace(SMALL, id="narrow", layers=narrow), 16, 0), images())
    assert str(e.value) == "start.mould: sets of channels to choose from; expected at most 20,000, got 601080390"
