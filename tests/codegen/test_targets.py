"""What a header's C computes, by every compiler, at every level, is what the oracle computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_model import missing
from people import OTHER, TINY, net, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import MissingTool
from hyper_mcu.codegen.run import build, run_program
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import find_toolchain

HOST = TARGETS["host"]
SPECS = {"tiny": TINY, "other": OTHER}
VARIANTS = [(kind, level, "c11", False) for kind in ("gcc", "clang") for level in ("-O0", "-O2", "-O3")]
VARIANTS += [(kind, "-O2", "c++14", False) for kind in ("gcc", "clang", "zig")]
VARIANTS += [(kind, "-O1", "c11", True) for kind in ("gcc", "clang")]


@pytest.mark.parametrize(("kind", "optimise", "std", "sanitise"), VARIANTS)
@pytest.mark.parametrize("name", SPECS)
def test_every_variant_on_this_machine_gives_the_oracles_bytes(
    name: str, kind: str, optimise: str, std: str, sanitise: bool
) -> None:
    if why := missing((kind, True)):
        pytest.skip(why)
    p = person(net(SPECS[name]))
    images = [oracle.known_image(p.qnet.spec, seed) for seed in (3, 4)]
    header, tools = Path(f"{name}.h"), find_toolchain(HOST, kind)
    try:
        program = build(
            header, HOST, taps=True, text=emit(p), tools=tools, optimise=optimise, std=std, sanitise=sanitise
        )
    except MissingTool as e:
        pytest.skip(str(e))
    runs, _ = run_program(program, header, [i.tobytes() for i in images], HOST, taps=True)
    for run, image in zip(runs, images, strict=True):
        expected = oracle.run(p.qnet, image)
        assert run.layers == tuple(np.ascontiguousarray(m).tobytes() for m in expected.layers)
        assert (run.logit, run.layers_sha256) == (expected.logit, expected.layers_sha256)


def test_variants_are_programs_of_their_own() -> None:
    if why := missing(("gcc", True)):
        pytest.skip(why)
    text, tools = emit(person(net(TINY))), find_toolchain(HOST, "gcc")
    made = {
        build(Path("tiny.h"), HOST, taps=True, text=text, tools=tools, optimise=optimise, std=std).elf
        for optimise in ("-O0", "-O2")
        for std in ("c11", "c++14")
    }
    assert len(made) == 4
