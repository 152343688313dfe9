"""The emitted C, compiled for this machine or for an emulated core; all images go through one run of one program.

What runs is the product with the person of model.h and, with taps, the same with the person of person.bin (run.py): a
verdict of the one that is not the other's is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hyper_mcu.codegen.backends import Answers, Image
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.emulate import find_emulator
from hyper_mcu.codegen.oracle import Result
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.records import Run
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.targets import Target, target_named
from hyper_mcu.codegen.toolchain import find_toolchain

SECONDS_AN_IMAGE = 10  # far beyond what any of them takes: 120 at least, then it counts as hanging


def host(
    person: Person,
    images: Sequence[Image],
    kind: str,
    optimise: str,
    std: str,
    sanitise: bool = False,
    kernels: str = "",
) -> Answers:
    """A build for this machine; arguments as `run.build` has them. Raises MissingToolError where the compiler, C++ or
    the sanitizers are not installed, UserError where the C does not compile or the program fails."""
    target = target_named("host")
    return _answers(person, images, target, kind, optimise=optimise, std=std, sanitise=sanitise, kernels=kernels)


def core(
    person: Person, images: Sequence[Image], name: str, kind: str = "", emulator: str = "auto", kernels: str = ""
) -> Answers:
    """The -O2 build for the emulated core `name`; raises as `host` does, MissingToolError without an emulator too."""
    find_emulator(target_named(name), emulator)
    return _answers(person, images, target_named(name), kind, emulator, kernels=kernels)


def _answers(
    person: Person,
    images: Sequence[Image],
    target: Target,
    kind: str,
    emulator: str = "auto",
    *,
    optimise: str = "-O2",
    std: str = "c11",
    sanitise: bool = False,
    kernels: str = "",
) -> Answers:
    runs, report = run_model(
        Path(f"{person.name}.h"),
        [np.ascontiguousarray(image).tobytes() for image in images],
        target,
        text=emit(person),
        blob=pack(person, for_device=True),
        tools=find_toolchain(target, kind),
        optimise=optimise,
        std=std,
        sanitise=sanitise,
        kernels=kernels,
        emulator=emulator,
        limit_s=max(120, SECONDS_AN_IMAGE * len(images)),
    )
    results = tuple(_result(person, run) for run in runs)
    tool = f"{report.toolchain}, {report.emulator}" if report.emulator else report.toolchain
    return Answers(results, tool, report.compile_seconds, report.run_seconds)


def _result(person: Person, run: Run) -> Result:
    shapes = [stage.out_shape for stage in person.qnet.spec.stages]
    layers = (np.frombuffer(data, np.int8).reshape(shape) for data, shape in zip(run.layers, shapes, strict=True))
    return Result(tuple(layers), run.logit)
