"""Helium's kernels on an emulated Cortex-M55: every byte of every stage is the oracle's, whatever the shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from kernel_checks import SUMS, check_on, chosen, paper, served, served_sums
from random_nets import a_few, nets_and_images

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle

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


def test_what_does_not_fit_16_bits_is_the_portable_kernels():
    shown = chosen("wide rows", (Conv(1, 1, "same", 3, 400), Conv(3, 1, "same", 400, 4)), (3, 200))
    assert served("helium", shown[0].spec) == ["helium", "portable"]
    check_on("m55", shown, "helium")


@pytest.mark.parametrize("optimise", ["-O0", "-Os", "-O3"])
def test_sums_are_the_same_at_every_level(optimise):
    check_on("m55", chosen("sums", SUMS, (19, 23)), "helium", optimise=optimise)


def test_every_add_is_helium_s_but_where_a_shuffled_channel_s_place_does_not_fit_8_bits():
    assert served_sums("helium") == {"helium"}
    layers = (Conv(1, 1, "same", 3, 258), Conv(1, 1, "same", 258, 258), Add(0), Conv(1, 1, "same", 258, 258), Add(2))
    layers += (Shuffle(2), Conv(1, 1, "same", 258, 2, 2))
    spec = NetSpec("many channels", layers, Head("dot"), 2, 2)
    assert served("helium", spec) == ["helium", "helium", "helium", "helium", "portable", "helium"]


@a_few(8)
@given(shown=nets_and_images())
def test_random_nets_equal_the_oracle(shown):
    check_on("m55", shown, "helium")


def test_preset_equals_the_oracle_by_the_compilers_own_choice():
    check_on("m55", paper(), "")
