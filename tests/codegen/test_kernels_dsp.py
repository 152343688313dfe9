"""The kernels of the DSP instructions on an emulated Cortex-M4: every byte of every stage is the oracle's."""

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

DSP = next(v for v in VARIANTS if v.name == "dsp")
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
    "others": (  # what it leaves to the portable kernels
        Conv(3, 1, "same", 3, 20),
        Conv(5, 1, "same", 20, 20, 5),
        Add(0),
        Conv(1, 1, "same", 20, 21),
        Conv(3, 2, "same", 21, 42, 21),
        Conv(3, 1, "same", 42, 8, 2, relu=False),
    ),
}


@pytest.fixture(autouse=True)
def _tools():
    if why := missing(("gcc", "m4"), ("unicorn", "m4")):
        pytest.skip(why)


def check(qnet, image, variant="dsp"):
    p, expected = person(qnet), oracle.run(qnet, image)
    tools = find_toolchain(target_named("m4"), "gcc")
    (run,), _ = run_model(Path("model.h"), image.tobytes(), "m4", text=emit(p), tools=tools, kernels=variant)
    for i, (c, o) in enumerate(zip(run.layers, expected.layers, strict=True)):
        assert c == o.tobytes(), f"stage {i} of {qnet.spec.to_json()}"
    assert run.logit == expected.logit


@pytest.mark.parametrize("size", [(26, 38), (35, 31), (12, 16)])
@pytest.mark.parametrize("name", CHOSEN)
def test_shapes_that_dsp_serves_equal_the_oracle(name, size):
    qnet = net(NetSpec(name, CHOSEN[name], Head("dot", pool=True), *size, CHOSEN[name][0].cin))
    check(qnet, oracle.known_image(qnet.spec, 3))


@a_few(8)
@given(drawn=nets_and_images())
def test_random_nets_equal_the_oracle(drawn):
    check(*drawn)


@pytest.mark.parametrize(
    ("cin", "cout", "groups", "served"),
    [(65532, 32766, 16383, True), (65536, 32768, 16384, False), (4, 65534, 1, True), (4, 65536, 1, False)],
)
def test_channels_beyond_16_bits_are_left_to_the_portable_kernels(cin, cout, groups, served):
    spec = NetSpec("channels", (Conv(1, 1, "same", cin, cout, groups),), Head("dot"), 1, 1, cin)
    (kernel,) = kernels(spec, [1])
    assert DSP.serves(kernel) is served


def test_every_stage_of_the_preset_has_one_of_these_kernels():
    spec = preset("paper")
    served = kernels(spec, plan(spec).schedule.strips)
    assert {template(DSP, k)[0].split("/")[0] for k in served} == {"dsp"}


def test_preset_equals_the_oracle_by_the_compilers_own_choice():
    qnet = net(preset("paper"))
    check(qnet, oracle.known_image(qnet.spec, 3), variant="")
