"""Helium's kernels on an emulated Cortex-M55: every byte of every stage is the oracle's, whatever the shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from kernel_checks import SUMS, check_on, chosen, paper, served, served_sums
from random_nets import a_few, nets_and_images

from hyper_mcu.codegen.netspec import Add, Conv, Shuffle

CHOSEN = {
    "fours": (  # groups of four channels, two channels at a time, odd sizes: rows of the image at odd addresses
        Conv(3, 2, "same", 3, 16),
        Conv(3, 2, "same", 16, 32, 4),
        Shuffle(8),
        Conv(3, 1, "valid", 32, 32, 8),
        Conv(3, 1, "same", 32, 40, 8),
        Shuffle(4),
        Conv(3, 2, "same", 40, 20, 10, relu=False),
    ),
    "pointwise": (  # one vector a pixel and more, whole ones or not, with a stride
        Conv(1, 1, "same", 3, 24),
        Conv(1, 1, "same", 24, 64),
        Shuffle(2),
        Conv(1, 2, "same", 64, 64, 2),
        Conv(1, 1, "same", 64, 80, 4),
        Conv(1, 1, "same", 80, 6, 2),
    ),
    "many channels": (  # six vectors a pixel, the most that stay in registers, with ReLU and without; then seven
        Conv(1, 1, "same", 4, 97),
        Conv(1, 1, "same", 97, 96),
        Conv(1, 2, "same", 96, 90),
        Conv(1, 1, "same", 90, 7, relu=False),
    ),
    "eight channels": (  # groups of four in the image, too
        Conv(3, 1, "same", 8, 8, 2),
        Conv(1, 1, "same", 8, 4),
    ),
    "wide": (  # five and seven columns, many channels a group, one channel a group, a sum
        Conv(7, 2, "same", 3, 20),
        Conv(5, 1, "same", 20, 20, 5),
        Add(0),
        Conv(5, 2, "same", 20, 24, 1),
        Conv(3, 1, "same", 24, 24, 24),
        Conv(3, 1, "same", 24, 18, 1),
    ),
    "sums": SUMS,
}


@pytest.mark.parametrize("size", [(19, 23), (10, 9)])
@pytest.mark.parametrize("name", CHOSEN)
def test_shapes_that_helium_serves_equal_the_oracle(name, size):
    check_on("m55", chosen(name, CHOSEN[name], size), "helium")


def row(width):
    """A row of scratch of up to 64,816 bytes and then of 66,416."""
    return (Conv(1, 1, "same", 3, 400), Conv(3, 1, "same", 400, 4)), (3, width)


def taken(groups):
    """An image of 16 channels a group."""
    return (Conv(1, 1, "same", 16 * groups, groups, groups), Conv(1, 1, "same", groups, 4)), (1, 2)


def given_out(channels):
    """Four pixels' outputs, two channels at a time, half a pixel apart by a shuffle."""
    first = (Conv(1, 1, "same", 3, 40), Conv(1, 1, "same", 40, channels, 2), Shuffle(channels // 2))
    return (*first, Conv(1, 1, "same", channels, 4, 2)), (1, 4)


def added(channels):
    """A shuffled sum, whose places are of 8 bits."""
    first = (Conv(1, 1, "same", 3, channels), Conv(1, 1, "same", channels, channels), Add(0), Shuffle(channels // 2))
    return (*first, Conv(1, 1, "same", channels, 2, 2)), (2, 2)


@pytest.mark.parametrize(
    ("net", "stage", "fits", "beyond"),
    [(row, 1, 160, 161), (taken, 0, 4095, 4096), (given_out, 1, 16380, 16384), (added, 2, 256, 258)],
)
def test_what_does_not_fit_the_offsets_is_the_portable_kernels(net, stage, fits, beyond):
    for size, whose in ((fits, "helium"), (beyond, "portable")):
        shown = chosen("edge", *net(size))
        assert served("helium", shown[0].spec)[stage] == whose
        check_on("m55", shown, "helium")


@pytest.mark.parametrize("optimise", ["-O0", "-Os", "-O3"])
def test_sums_are_the_same_at_every_level(optimise):
    check_on("m55", chosen("sums", SUMS, (19, 23)), "helium", optimise=optimise)


def test_every_add_is_helium_s():
    assert served_sums("helium") == {"helium"}


@a_few(8)
@given(shown=nets_and_images())
def test_random_nets_equal_the_oracle(shown):
    check_on("m55", shown, "helium")


def test_preset_equals_the_oracle_by_the_compilers_own_choice():
    check_on("m55", paper(), "")
