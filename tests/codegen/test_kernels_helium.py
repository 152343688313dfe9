"""Helium's kernels on an emulated Cortex-M55: every byte of every stage is the oracle's, whatever the shapes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_model import missing
from hypothesis import given
from people import net, person
from random_nets import a_few, nets_and_images

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.kernels.kernel import kernels
from hyper_mcu.codegen.kernels.variants import VARIANTS, template
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain

HELIUM = next(v for v in VARIANTS if v.name == "helium")
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
}


@pytest.fixture(autouse=True)
def _tools():
    if why := missing(("gcc", "m55"), ("qemu", "m55")):
        pytest.skip(why)


def check(qnet, image, variant="helium"):
    p, expected = person(qnet), oracle.run(qnet, image)
    tools = find_toolchain(target_named("m55"), "gcc")
    (run,), _ = run_model(Path("model.h"), image.tobytes(), "m55", text=emit(p), tools=tools, kernels=variant)
    for i, (c, o) in enumerate(zip(run.layers, expected.layers, strict=True)):
        assert c == o.tobytes(), f"stage {i} of {qnet.spec.to_json()}"
    assert run.logit == expected.logit


@pytest.mark.parametrize("size", [(19, 23), (10, 9)])
@pytest.mark.parametrize("name", CHOSEN)
def test_shapes_that_helium_serves_equal_the_oracle(name, size):
    qnet = net(NetSpec(name, CHOSEN[name], Head("dot", pool=True), *size, CHOSEN[name][0].cin))
    check(qnet, oracle.known_image(qnet.spec, 3))


def test_what_does_not_fit_16_bits_is_the_portable_kernels():
    layers = (Conv(1, 1, "same", 3, 400), Conv(3, 1, "same", 400, 4))
    qnet = net(NetSpec("wide rows", layers, Head("dot", pool=True), height=3, width=200))
    served = kernels(qnet.spec, plan(qnet.spec).schedule.strips)
    assert [template(HELIUM, k)[0] for k in served] == ["helium/pointwise.h.j2", "portable/dense.h.j2"]
    check(qnet, oracle.known_image(qnet.spec, 3))


@a_few(8)
@given(drawn=nets_and_images())
def test_random_nets_equal_the_oracle(drawn):
    check(*drawn)


def test_preset_equals_the_oracle_by_the_compilers_own_choice():
    qnet = net(preset("paper"))
    check(qnet, oracle.known_image(qnet.spec, 3), variant="")
