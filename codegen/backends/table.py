"""All backends, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from hyper_mcu.codegen.backends import Answers, Backend, Image
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.targets import TARGETS


def _late(module: str, function: str, *arguments: Any, **options: Any) -> Callable[[Person, Sequence[Image]], Answers]:
    """A backend's `ask`: `function` with these arguments behind person and images, imported when it is called."""

    def ask(person: Person, images: Sequence[Image]) -> Answers:
        answers: Answers = getattr(import_module(f"{__package__}.{module}"), function)(
            person, images, *arguments, **options
        )
        return answers

    return ask


BACKENDS = (
    Backend("oracle", "in process", True, _late("reference", "reference")),
    Backend("twin", "in process", True, _late("twin", "twin")),
    Backend("onnx", "in process", True, _late("onnx", "integer")),
    Backend("tflm", "in process", True, _late("tflite", "tflm")),
    Backend("litert-ref", "in process", True, _late("tflite", "litert_reference")),
    Backend("tensorflow", "in process", True, _late("tflite", "tensorflow")),
    Backend("single-rounding", "in process", False, _late("reference", "single_rounding")),
    Backend("litert-xnnpack", "in process", False, _late("tflite", "litert_xnnpack")),
    Backend("ort-qlinear", "in process", False, _late("onnx", "qlinear")),
    *(
        Backend(f"{kind}{level}-{std}", "host", True, _late("compiled", "host", kind, level, std))
        for kind in ("gcc", "clang")
        for std in ("c11", "c++14")
        for level in ("-O0", "-O2", "-O3")
    ),
    Backend("zig-O2-c11", "host", True, _late("compiled", "host", "zig", "-O2", "c11")),
    *(
        Backend(f"{kind}-sanitized", "host", True, _late("compiled", "host", kind, "-O1", "c11", sanitise=True))
        for kind in ("gcc", "clang")
    ),
    *(
        Backend(f"{kind}-tiled", "host", True, _late("compiled", "host", kind, "-O2", "c11", kernels="tiled"))
        for kind in ("gcc", "clang")
    ),
    *(
        Backend(
            f"{kind}-sanitized-tiled",
            "host",
            True,
            _late("compiled", "host", kind, "-O1", "c11", sanitise=True, kernels="tiled"),
        )
        for kind in ("gcc", "clang")
    ),
    *(Backend(name, "emulated", True, _late("compiled", "core", name)) for name in TARGETS if name != "host"),
    Backend("m4-zig", "emulated", True, _late("compiled", "core", "m4", "zig")),
    Backend("m4-qemu", "emulated", True, _late("compiled", "core", "m4", "gcc", "qemu")),
    Backend("m55-dsp", "emulated", True, _late("compiled", "core", "m55", "gcc", kernels="dsp")),
    *(
        Backend(f"{name}-portable", "emulated", True, _late("compiled", "core", name, "gcc", kernels="portable"))
        for name in ("m3", "m4", "m55", "rv32imc")
    ),
)
REFERENCE = BACKENDS[0]
GROUPS = {"in-process": "in process", "host": "host", "emulated": "emulated"}  # by name: whose place that is


def backends_named(names: Sequence[str]) -> tuple[Backend, ...]:
    """The rows of these names, or of all of a place by GROUPS' name for it, in the table's order; raises UserError for
    a name that is not there."""
    there = {group: {b.name for b in BACKENDS if b.place == place} for group, place in GROUPS.items()}
    there |= {b.name: {b.name} for b in BACKENDS}
    for name in names:
        if name not in there:
            raise UserError("backend", "unknown", "one of " + ", ".join(there), name or "nothing")
    wanted = set[str]().union(*(there[name] for name in names))
    return tuple(b for b in BACKENDS if b.name in wanted)
