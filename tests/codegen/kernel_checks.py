"""What the tests of all variants of the kernels share: nets of chosen layers, and an emulated core held against the
oracle."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_model import missing
from people import net, person
from random_nets import Net

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.kernels.kernel import kernels
from hyper_mcu.codegen.kernels.variants import template, variant_named
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain

LEVELS = [("gcc", "-O0"), ("gcc", "-Os"), ("gcc", "-O3"), ("zig", "-O0"), ("zig", "-O2")]  # beside check_on's own

SUMS = (  # rows of an odd number of bytes, others that are still read behind them; shuffled by words and by bytes
    Conv(3, 1, "same", 3, 5),
    Conv(3, 1, "same", 5, 5),
    Add(0),
    Conv(3, 1, "same", 5, 5),
    Add(2),
    Conv(3, 2, "same", 5, 40),
    Conv(1, 1, "same", 40, 40),
    Add(5),
    Shuffle(10),
    Conv(3, 1, "same", 40, 40, 10),
    Add(7),
    Shuffle(20),
    Conv(1, 1, "same", 40, 6, 2),
    Conv(1, 1, "same", 6, 6),
    Add(10),
)


def chosen(name: str, layers: tuple[Conv | Shuffle | Add, ...], size: tuple[int, int]) -> Net:
    """A net of these layers over an image (height, width) of `size`, and such an image."""
    qnet = net(NetSpec(name, layers, Head("dot", pool=True), *size, layers[0].cin))
    return qnet, oracle.known_image(qnet.spec, 3)


def paper() -> Net:
    """The preset that ships, and an image."""
    qnet = net(preset("paper"))
    return qnet, oracle.known_image(qnet.spec, 3)


def served(variant: str, spec: NetSpec) -> list[str]:
    """Whose kernel each stage gets in a build with that variant: its own or `portable`."""
    return [template(variant_named(variant), k)[0].partition("/")[0] for k in kernels(spec, plan(spec).schedule.strips)]


def served_sums(variant: str) -> set[str]:
    """Whose kernels the Adds of SUMS get."""
    spec = NetSpec("sums", SUMS, Head("dot", pool=True), 8, 8)
    return {v for v, s in zip(served(variant, spec), spec.stages, strict=True) if isinstance(s.layer, Add)}


def check_on(target: str, shown: Net, variant: str, kind: str = "gcc", optimise: str = "-O2") -> None:
    """Every byte of every stage and the logit on an emulated core; variant: "" is the compiler's choice; kind: of the
    compiler. Skips where compiler or emulator are missing."""
    if why := missing((kind, target), ("auto", target)):
        pytest.skip(why)
    qnet, image = shown
    expected, tools = oracle.run(qnet, image), find_toolchain(target_named(target), kind)
    (run,), _ = run_model(
        Path("model.h"), image.tobytes(), target,
        text=emit(person(qnet)), tools=tools, kernels=variant, optimise=optimise,
    )  # fmt: skip
    for i, (c, o) in enumerate(zip(run.layers, expected.layers, strict=True)):
        assert c == o.tobytes(), f"stage {i} of {qnet.spec.to_json()}"
    assert run.logit == expected.logit
