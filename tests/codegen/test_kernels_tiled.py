"""The tiled kernels on this machine and on emulated cores: every byte of every stage is the oracle's, whatever the
shapes."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from c_programs import SANITIZED, sanitizes
from fake_model import missing
from hypothesis import given
from people import net, person
from random_nets import PROGRAMS, a_few, check, nets_and_images

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.kernels.kernel import kernels
from hyper_mcu.codegen.kernels.variants import VARIANTS, template
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.presets import PRESETS, preset
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain

TILED = next(v for v in VARIANTS if v.name == "tiled")
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
}


@pytest.fixture
def folder(tmp_path):
    """A new folder for each example."""
    numbers = count()

    def make() -> Path:
        new = tmp_path / str(next(numbers))
        new.mkdir()
        return new

    return make


def chosen(name, size):
    """A net of CHOSEN over an image of that size, and an image."""
    qnet = net(NetSpec(name, CHOSEN[name], Head("dot", pool=True), *size, CHOSEN[name][0].cin))
    return qnet, oracle.known_image(qnet.spec, 3)


def check_on(target, qnet, image, variant="tiled"):
    if why := missing(("gcc", target), ("auto", target)):
        pytest.skip(why)
    p, expected = person(qnet), oracle.run(qnet, image)
    tools = find_toolchain(target_named(target), "gcc")
    (run,), _ = run_model(Path("model.h"), image.tobytes(), target, text=emit(p), tools=tools, kernels=variant)
    for i, (c, o) in enumerate(zip(run.layers, expected.layers, strict=True)):
        assert c == o.tobytes(), f"stage {i} of {qnet.spec.to_json()}"
    assert run.logit == expected.logit


@pytest.mark.parametrize("name", PRESETS)
def test_every_convolution_of_the_presets_is_served(name):
    found = kernels(preset(name), plan(preset(name)).schedule.strips)
    left = [k.kind for k in found if not template(TILED, k)[0].startswith("tiled/")]
    assert set(left) <= {"add"}


def test_what_has_no_tiles_is_the_portable_kernels():
    layers = (
        Conv(1, 1, "same", 3, 8),
        Conv(3, 1, "same", 8, 8, 8),
        Conv(1, 1, "same", 8, 6, 2),
        Conv(1, 1, "same", 6, 12, 3),
    )
    spec = NetSpec("few channels", layers, Head("dot"), height=5, width=5)
    served = kernels(spec, plan(spec).schedule.strips)
    assert {template(TILED, k)[0].split("/")[0] for k in served} == {"portable"}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("size", [(19, 23), (10, 9)])
def test_chosen_shapes_do_nothing_undefined(folder, compiler, size):
    if not sanitizes(compiler):
        pytest.skip(f"no {compiler} with sanitizers on PATH")
    nets = [chosen(name, size) for name in CHOSEN]
    check(folder(), nets, *SANITIZED, "-DHM_KERNELS=HM_TILED", compiler=(compiler,))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@a_few(4)
@given(nets=PROGRAMS)
def test_random_nets_do_nothing_undefined(folder, compiler, nets):
    if not sanitizes(compiler):
        pytest.skip(f"no {compiler} with sanitizers on PATH")
    check(folder(), nets, *SANITIZED, "-DHM_KERNELS=HM_TILED", compiler=(compiler,))


@pytest.mark.parametrize("target", ["m0", "m3", "rv32imc", "lx106"])
@pytest.mark.parametrize("size", [(19, 23), (10, 9)])
@pytest.mark.parametrize("name", CHOSEN)
def test_chosen_shapes_equal_the_oracle(target, name, size):
    check_on(target, *chosen(name, size))


@pytest.mark.parametrize("target", ["m3", "rv32imc"])
@a_few(6)
@given(drawn=nets_and_images())
def test_random_nets_equal_the_oracle(target, drawn):
    check_on(target, *drawn)


@pytest.mark.parametrize("target", ["m0", "m3", "rv32imc", "lx106"])
def test_preset_equals_the_oracle_by_the_compilers_own_choice(target):
    qnet = net(preset("paper"))
    check_on(target, qnet, oracle.known_image(qnet.spec, 3), variant="")
