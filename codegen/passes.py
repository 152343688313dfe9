"""From a QNet to what is rendered: the passes in their order. None changes a byte of any map.

tests/codegen/test_passes.py plays a Program after each of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyper_mcu.codegen.layout import pack
from hyper_mcu.codegen.oracle import shuffle_order
from hyper_mcu.codegen.plan import place
from hyper_mcu.codegen.program import Program, Step, folds, lower, reordered
from hyper_mcu.codegen.qnet import QNet


def fold(program: Program) -> Program:
    """What weights can do: 128·Σw off the first bias, so that pixels enter as bytes; a shuffle behind a dense Conv as
    the order of its channels."""
    steps: list[Step] = []
    for step in program.steps:
        if step.q is not None and step.zero:
            sums = step.q.weight.reshape(len(step.q.bias), -1).sum(axis=1, dtype=np.int64)
            bias = (step.q.bias - step.zero * sums).astype(np.int32)  # |b| + 256·Σ|w| < 2^30: it fits
            step = replace(step, q=replace(step.q, bias=bias), zero=0)
        if step.kind == "shuffle" and folds(step.stage) and (q := steps[-1].q) is not None:
            steps[-1] = replace(steps[-1], q=reordered(q, shuffle_order(len(q.bias), step.store)))
        else:
            steps.append(step)
    return replace(program, steps=tuple(steps))


def fuse(program: Program) -> Program:
    """A shuffle that is left becomes the address to which the step before it stores: a step is then a stage."""
    steps: list[Step] = []
    for step in program.steps:
        if step.kind == "shuffle":
            steps[-1] = replace(steps[-1], store=step.store)
        else:
            steps.append(step)
    return replace(program, steps=tuple(steps))


PASSES = (fold, fuse, pack, place)


def compiled(q: QNet) -> Program:
    """The Program of a net after all passes."""
    program = lower(q)
    for each in PASSES:
        program = each(program)
    return program
