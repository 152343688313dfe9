"""The tiled kernels on this machine and on emulated cores: every byte of every stage is the oracle's, whatever the
shapes."""

from __future__ import annotations

import pytest
from c_programs import SANITIZED, sanitizes
from hypothesis import given
from kernel_checks import LEVELS, SUMS, check_on, chosen, paper, served
from random_nets import PROGRAMS, a_few, check, nets_and_images

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.presets import PRESETS, preset

CHOSEN = {
    "fours": (  # groups of four channels at both strides, widths that leave pixels over, a linear end
        Conv(3, 2, "same", 3, 16),
        Conv(3, 2, "same", 16, 32, 4),
        Shuffle(8),
        Conv(3, 1, "valid", 32, 32, 8),
        Conv(3, 1, "same", 32, 40, 8),
        Shuffle(4),
        Conv(3, 2, "same", 40, 40, 10, relu=False),
    ),
    "pointwise": (  # where it lies, with groups, a stride, cells of three taps, fewer than eight outputs
        Conv(3, 1, "same", 3, 24),
        Conv(1, 1, "same", 24, 64),
        Shuffle(2),
        Conv(1, 2, "same", 64, 72, 2),
        Conv(1, 1, "same", 72, 21, 3),
        Conv(1, 1, "same", 21, 6, relu=False),
    ),
    "others": (  # larger kernels, two and five channels a group, outputs that are no multiple of four, a sum
        Conv(5, 2, "same", 3, 20),
        Conv(3, 1, "same", 20, 20, 4),
        Add(0),
        Conv(7, 1, "same", 20, 25, 5),
        Conv(3, 1, "same", 25, 10),
        Conv(3, 1, "same", 10, 30, 5),
        Conv(3, 1, "same", 30, 30, 30),
    ),
    "odd addresses": (  # weights in fours that are no words, as the stage before has 9 * 226 bytes
        Conv(3, 2, "same", 3, 25),
        Conv(3, 1, "same", 25, 9),
        Conv(3, 1, "same", 9, 8),
        Conv(3, 1, "same", 8, 8),
        Conv(1, 1, "same", 8, 12),
    ),
    "four channels": (  # an image whose pixels are words at any address
        Conv(3, 1, "same", 4, 8),
        Conv(1, 1, "same", 8, 8, 2),
    ),
    "sums": SUMS,
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_convolution_of_the_presets_is_served(name):
    spec = preset(name)
    convolutions = [isinstance(stage.layer, Conv) for stage in spec.stages]
    assert [variant == "tiled" for variant in served("tiled", spec)] == convolutions


def test_what_has_no_tiles_is_the_portable_kernels():
    layers = (
        Conv(1, 1, "same", 3, 8),
        Conv(3, 1, "same", 8, 8, 8),
        Conv(1, 1, "same", 8, 6, 2),
        Conv(1, 1, "same", 6, 12, 3),
    )
    spec = NetSpec("few channels", layers, Head("dot"), height=5, width=5)
    assert set(served("tiled", spec)) == {"portable"}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("size", [(19, 23), (10, 9)])
def test_chosen_shapes_do_nothing_undefined(tmp_path, compiler, size):
    if not sanitizes(compiler):
        pytest.skip(f"no {compiler} with sanitizers on PATH")
    nets = [chosen(name, layers, size) for name, layers in CHOSEN.items()]
    check(tmp_path, nets, *SANITIZED, "-DHM_KERNELS=HM_TILED", compiler=(compiler,))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@a_few(4)
@given(nets=PROGRAMS)
def test_random_nets_do_nothing_undefined(tmp_path, compiler, nets):
    if not sanitizes(compiler):
        pytest.skip(f"no {compiler} with sanitizers on PATH")
    check(tmp_path, nets, *SANITIZED, "-DHM_KERNELS=HM_TILED", compiler=(compiler,))


@pytest.mark.parametrize("target", ["m0", "m3", "rv32imc", "lx106"])
@pytest.mark.parametrize("size", [(19, 23), (10, 9)])
@pytest.mark.parametrize("name", CHOSEN)
def test_chosen_shapes_equal_the_oracle(target, name, size):
    check_on(target, chosen(name, CHOSEN[name], size), "tiled")


@pytest.mark.parametrize(("kind", "optimise"), LEVELS)
@pytest.mark.parametrize("target", ["m3", "rv32imc"])
def test_every_compiler_has_registers_enough_at_every_level(target, kind, optimise):
    check_on(target, chosen("fours", CHOSEN["fours"], (19, 23)), "tiled", kind, optimise)


@pytest.mark.parametrize("target", ["m3", "rv32imc"])
@a_few(6)
@given(shown=nets_and_images())
def test_random_nets_equal_the_oracle(target, shown):
    check_on(target, shown, "tiled")


@pytest.mark.parametrize("target", ["m0", "m3", "rv32imc", "lx106"])
def test_preset_equals_the_oracle_by_the_compilers_own_choice(target):
    check_on(target, paper(), "")
