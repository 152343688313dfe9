"""What a verification costs on an emulated core, stage by stage: instructions, modelled cycles, RAM, stack, flash.

What is measured is the product and nothing but it. The engine itself says when a strip of a stage is done: it then
stores to hm_session's `rows`. The emulator counts what was executed up to each of these stores (instructions.py), and
the schedule knows their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.emulate import find_emulator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.instructions import Call
from hyper_mcu.codegen.kernels.kernel import describe
from hyper_mcu.codegen.layout import row_counts
from hyper_mcu.codegen.netspec import Add, NetSpec, Stage
from hyper_mcu.codegen.person import KnownAnswer, Person, Provenance
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.quantize import quantize, scales_of
from hyper_mcu.codegen.run import build, flash_bytes, run_program
from hyper_mcu.codegen.schedule import IMAGE
from hyper_mcu.codegen.stack import stack_bound
from hyper_mcu.codegen.targets import Target
from hyper_mcu.codegen.toolchain import Program, Toolchain, find_toolchain

MODELLED = ("m4",)  # cores whose cycles firmware/harness/count.h models
SEED = 7  # of the first image


@dataclass(frozen=True)
class Part:
    """A part of a verification. stage: its number, and kind what `kind` says of it; None for what is done before,
    between and behind the stages."""

    name: str
    stage: int | None
    kind: str | None
    macs: int
    instructions: int
    cycles: int


@dataclass(frozen=True)
class Costs:
    """What a person costs on a target, by the -O2 build.

    toolchain, emulator: name and version ("" on this machine). runs: for each image the parts of its verification, in
    order; none where nobody counts. stack_bytes: touched; stack_bound: that no run can exceed, None where it is not
    known. person_bytes, text_bytes, rodata_bytes: flash of the person's data, of the engine's code and constants.
    """

    target: str
    toolchain: str
    emulator: str
    runs: tuple[tuple[Part, ...], ...]
    session_bytes: int
    stack_bytes: int
    stack_bound: int | None
    person_bytes: int
    text_bytes: int
    rodata_bytes: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those of the run with the most instructions."""
        return max(self.runs, key=lambda parts: sum(p.instructions for p in parts), default=())

    @property
    def instructions(self) -> int | None:
        """Of one hm_verify, the most of all images; None where nobody counted."""
        return sum(p.instructions for p in self.parts) if self.runs else None

    @property
    def cycles(self) -> int | None:
        """Modelled cycles of the same; None where they are not modelled."""
        return sum(p.cycles for p in self.parts) if self.runs and self.target in MODELLED else None


def seeded(spec: NetSpec, seed: int = 1) -> Person:
    """A person with random weights, the same in every run; their maps are neither empty nor saturated."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=spec.params)
    for t in spec.tensors:
        normal[t.offset : t.offset + t.size] *= (2 * t.shape[0] / t.size) ** 0.5 if len(t.shape) > 1 else 0.1
    theta: NDArray[np.float32] = normal.astype(np.float32)
    image = oracle.known_image(spec, SEED)
    peaks = np.array([np.abs(m).max() for m in oracle.run_float(spec, theta, image).maps])
    net = quantize(spec, theta, scales_of(spec, peaks))
    answer = oracle.run(net, image)
    known = KnownAnswer(SEED, answer.logit, answer.layers_sha256)
    return Person(f"seed{seed}", net, 0, 0.0, 0.0, 0.0, "nobody", known, Provenance("hyper-mcu bench", "", "", "", ""))


def generated(spec: NetSpec, n: int) -> list[NDArray[np.uint8]]:
    """Random images, the same in every run."""
    return [oracle.known_image(spec, SEED + i) for i in range(n)]


def measure(
    person: Person,
    target: Target,
    images: Sequence[NDArray[np.uint8]],
    *,
    kernels: str = "",
    tools: Toolchain | None = None,
) -> Costs:
    """The costs of `person` on `target`, asked about `images`, each of whose logits must be the oracle's.

    kernels, tools: as in `run.build`. Raises MissingToolError where compiler or emulator are not installed, UserError
    as `run.run_model` does, for a logit that is another, and where the engine does not keep to its schedule.
    """
    find_emulator(target)
    tools, header, where = tools or find_toolchain(target), emit(person), Path(f"{person.name}.h")
    program = build(where, target, taps=False, text=header, tools=tools, kernels=kernels)
    rows = row_counters(program, person.qnet.spec)
    shown = [np.ascontiguousarray(x).tobytes() for x in images]
    said, output = run_program(program, where, shown, target, taps=False, stored=rows)
    for run, image in zip(said, images, strict=True):
        if run.logit != (want := oracle.run(person.qnet, image).logit):
            raise UserError(f"{where} on {target.name}", "logit", f"the oracle's, {want}", run.logit)
    person_bytes, text, rodata = flash_bytes(program)
    return Costs(
        target=target.name,
        toolchain=str(tools),
        emulator=output.emulator,
        runs=tuple(parts(person.qnet.spec, call, rows) for call in output.calls or ()),
        session_bytes=said[0].session_bytes,
        stack_bytes=max(run.stack_bytes for run in said),
        stack_bound=stack_bound(header, target, tools, kernels),
        person_bytes=person_bytes,
        text_bytes=text,
        rodata_bytes=rodata,
    )


def row_counters(program: Program, spec: NetSpec) -> range:
    """Where hm_session's `rows`, its last member, lies in a program of the harness."""
    session = next(s for s in read_elf(program.elf).symbols if s.name == "session")
    end = session.value + session.size
    return range(end - 2 * row_counts(spec), end)


def parts(spec: NetSpec, call: Call, rows: range) -> tuple[Part, ...]:
    """The parts of a call; what is executed up to a store belongs to what that says is done."""
    stored = [(store.address - rows.start) // 2 for store in call.stores]
    order = counter_order(spec)
    first = next((i for i in range(len(stored)) if stored[i : i + len(order)] == order), None)
    if first is None:
        raise UserError("bench", "the engine's strips", "the schedule's order", "another one")
    names: list[tuple[str, int | None, str | None, int]] = [
        ("checking the person", None, None, 0),
        ("keeping the image's rows", None, None, 0),
        *((describe(s), s.index, kind(s), s.macs) for s in spec.stages),
        ("score, and wiping the session", None, None, spec.head_size),
    ]
    told = call.stores[first : first + len(order)]
    marks = [(0, 0), *((store.instructions, store.cycles) for store in told), (call.instructions, call.cycles)]
    spent = [[0, 0] for _ in names]
    places = [0, *(counter + 1 for counter in order[1:]), len(names) - 1]
    for place, before, after in zip(places, marks, marks[1:], strict=False):
        spent[place][0] += after[0] - before[0]
        spent[place][1] += after[1] - before[1]
    return tuple(Part(*name, *cost) for name, cost in zip(names, spent, strict=True))


def kind(s: Stage) -> str:
    """What a stage costs by, whatever the size of its map: kernel, stride, and channels, of a group if there are some;
    a 1x1 convolution over all channels costs much the same by however many."""
    if isinstance(c := s.layer, Add):
        return "sum"
    stride = f", stride {c.stride}" if c.stride > 1 else ""
    channels = f", {c.cin_group} to {c.cout_group}" if c.k > 1 or c.groups > 1 else ""
    return f"{c.k}x{c.k}{stride}{channels}{' in groups' if c.groups > 1 else ''}"


def counter_order(spec: NetSpec) -> list[int]:
    """The members of `rows` in the order in which a verification stores to them: 0 for a row of the image, then those
    of the stages (1 and on) whose strips it leads to."""
    order, of_row = list[int](), [0]
    for strip in plan(spec).schedule.order:
        if strip.stage == IMAGE:
            order += of_row
            of_row = [0]
        else:
            of_row.append(strip.stage + 1)
    return order


def varying(costs: Sequence[Costs]) -> dict[str, tuple[int, int]]:
    """The parts that do not always take the same instructions, over all images and people: least and most."""
    counts: dict[str, list[int]] = {}
    for part in (part for c in costs for run in c.runs for part in run):
        counts.setdefault(part.name if part.stage is None else f"stage {part.stage}", []).append(part.instructions)
    return {name: (min(n), max(n)) for name, n in counts.items() if min(n) != max(n)}
