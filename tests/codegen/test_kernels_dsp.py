"""The kernels of the DSP instructions on an emulated Cortex-M4: every byte of every stage is the oracle's."""

from __future__ import annotations

import pytest
from hypothesis import given
from kernel_checks import LEVELS, SUMS, check_on, chosen, paper, served, served_sums
from random_nets import a_few, nets_and_images

from hyper_mcu.codegen.netspec import Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.presets import preset

CHOSEN = {
    "fours": (  # groups of four channels with both strides, rows that are no multiple of four pixels wide
        Conv(3, 2, "same", 3, 16),
        Conv(3, 2, "same", 16, 32, 4),
        Shuffle(8),
        Conv(3, 1, "same", 32, 40, 8),
        Shuffle(4),
        Conv(3, 1, "valid", 40, 20, 10),
    ),
    "no padding": (  # an image without padding, groups of four without padding
        Conv(3, 2, "valid", 3, 8),
        Conv(3, 2, "valid", 8, 6, 2),
    ),
    "pointwise": (  # written out, in parts, strides, an odd number of pixels, a linear end
        Conv(1, 1, "same", 4, 24),
        Conv(1, 1, "same", 24, 64),
        Shuffle(2),
        Conv(1, 2, "same", 64, 96, 2),
        Conv(1, 1, "same", 96, 44),
        Conv(1, 1, "same", 44, 40),
        Conv(1, 1, "same", 40, 80, 4),
        Conv(1, 1, "same", 80, 6, 2, relu=False),
    ),
    "image in groups": (  # whose padding is 128, then maps, whose padding is 0
        Conv(3, 1, "same", 8, 16, 2),
        Conv(3, 1, "same", 16, 8, 4),
    ),
    "widest": (  # as many channels as the offsets of instructions reach
        Conv(1, 1, "same", 4, 224),
        Conv(1, 1, "same", 224, 8),
    ),
    "others": (  # what it leaves to the portable kernels
        Conv(3, 1, "same", 3, 20),
        Conv(5, 1, "same", 20, 20, 5),
        Conv(1, 1, "same", 20, 21),
        Conv(3, 2, "same", 21, 42, 21),
        Conv(3, 1, "same", 42, 8, 2, relu=False),
    ),
    "sums": SUMS,
}


@pytest.mark.parametrize("size", [(26, 38), (35, 31), (12, 16)])
@pytest.mark.parametrize("name", CHOSEN)
def test_shapes_that_dsp_serves_equal_the_oracle(name, size):
    check_on("m4", chosen(name, CHOSEN[name], size), "dsp")


@pytest.mark.parametrize(("kind", "optimise"), LEVELS)
def test_every_compiler_has_registers_enough_at_every_level(kind, optimise):
    check_on("m4", paper(), "dsp", kind, optimise)


@pytest.mark.parametrize(("kind", "optimise"), LEVELS)
def test_sums_are_the_same_by_every_compiler_at_every_level(kind, optimise):
    check_on("m4", chosen("sums", SUMS, (19, 23)), "dsp", kind, optimise)


@a_few(8)
@given(shown=nets_and_images())
def test_random_nets_equal_the_oracle(shown):
    check_on("m4", shown, "dsp")


@pytest.mark.parametrize(
    ("cin", "cout", "groups", "variant"),
    [
        (65532, 32766, 16383, "dsp"),  # sizes of 16 bits
        (65536, 32768, 16384, "portable"),
        (4, 65534, 1, "dsp"),
        (4, 65536, 1, "portable"),
        (224, 2, 1, "dsp"),  # offsets of instructions
        (240, 2, 1, "portable"),
    ],
)
def test_channels_beyond_its_reach_are_left_to_the_portable_kernels(cin, cout, groups, variant):
    spec = NetSpec("channels", (Conv(1, 1, "same", cin, cout, groups),), Head("dot"), 1, 1, cin)
    assert served("dsp", spec) == [variant]


def test_every_stage_of_the_preset_has_one_of_these_kernels():
    assert set(served("dsp", preset("paper"))) == {"dsp"}


def test_every_add_has_one_of_these_kernels():
    assert served_sums("dsp") == {"dsp"}


def test_preset_equals_the_oracle_by_the_compilers_own_choice():
    check_on("m4", paper(), "")
