"""What a header's C computes, by every compiler, at every level, on every core, is what the oracle computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_model import missing
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from people import OTHER, TINY, net, person
from strategies import images, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.qnet import QNet
from hyper_mcu.codegen.run import build, run_program
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import find_toolchain

SPECS = {"tiny": TINY, "other": OTHER}
VARIANTS = [(kind, level, "c11", False) for kind in ("gcc", "clang") for level in ("-O0", "-O2", "-O3")]
VARIANTS += [(kind, "-O2", "c++14", False) for kind in ("gcc", "clang", "zig")]
VARIANTS += [(kind, "-O1", "c11", True) for kind in ("gcc", "clang")]
CORES = [target.name for target in TARGETS.values() if not target.is_host]
HEADER = Path("model.h")  # a name; its text is given


def check(
    qnet: QNet, probes: list[NDArray[np.uint8]], target: str, kind: str, *,
    optimise: str = "-O2", std: str = "c11", sanitise: bool = False,
) -> None:  # fmt: skip
    """Every byte of every stage and the logit, on every emulator of the target; skips the test by what is missing."""
    where = TARGETS[target]
    if why := missing((kind, target), *((emulator, target) for emulator in where.emulators)):
        pytest.skip(why)
    text, tools = emit(person(qnet)), find_toolchain(where, kind)
    try:
        program = build(HEADER, where, taps=True, text=text, tools=tools, optimise=optimise, std=std, sanitise=sanitise)
    except MissingToolError as e:
        pytest.skip(str(e))
    expected = [oracle.run(qnet, image) for image in probes]
    for emulator in where.emulators or ("auto",):
        runs, _ = run_program(program, HEADER, [p.tobytes() for p in probes], where, taps=True, emulator=emulator)
        for run, r in zip(runs, expected, strict=True):
            assert run.layers == tuple(np.ascontiguousarray(m).tobytes() for m in r.layers), emulator
            assert (run.logit, run.layers_sha256) == (r.logit, r.layers_sha256), emulator


@pytest.mark.parametrize(("kind", "optimise", "std", "sanitise"), VARIANTS)
@pytest.mark.parametrize("name", SPECS)
def test_every_variant_on_this_machine_gives_the_oracles_bytes(
    name: str, kind: str, optimise: str, std: str, sanitise: bool
) -> None:
    probes = [oracle.known_image(SPECS[name], seed) for seed in (3, 4)]
    check(net(SPECS[name]), probes, "host", kind, optimise=optimise, std=std, sanitise=sanitise)


@pytest.mark.parametrize(("target", "kind"), [(core, kind) for core in CORES for kind in TARGETS[core].compilers])
@pytest.mark.parametrize("name", SPECS)
def test_every_core_gives_the_oracles_bytes(name: str, target: str, kind: str) -> None:
    check(net(SPECS[name]), [oracle.known_image(SPECS[name], seed) for seed in (3, 4)], target, kind)


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
@pytest.mark.parametrize("target", CORES)
def test_every_core_gives_the_oracles_bytes_at_every_level(target: str, optimise: str) -> None:
    check(net(TINY), [oracle.known_image(TINY, 3)], target, "gcc", optimise=optimise)


@pytest.mark.parametrize("target", CORES)
@settings(
    max_examples=3, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=st.data())
def test_random_nets_give_the_oracles_bytes_on_every_core(target: str, data: st.DataObject) -> None:
    qnet = data.draw(qnets())
    check(qnet, [data.draw(images(qnet.spec)) for _ in range(2)], target, "gcc")


def test_variants_are_programs_of_their_own() -> None:
    if why := missing(("gcc", "host")):
        pytest.skip(why)
    host, text = TARGETS["host"], emit(person(net(TINY)))
    made = {
        build(HEADER, host, taps=True, text=text, tools=find_toolchain(host, "gcc"), optimise=optimise, std=std).elf
        for optimise in ("-O0", "-O2")
        for std in ("c11", "c++14")
    }
    assert len(made) == 4


def test_kernels_of_an_unknown_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"kernels: unknown; expected one of portable, .*, got neon"):
        build(HEADER, TARGETS["host"], taps=True, text="", kernels="neon")
