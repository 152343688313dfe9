"""The oracle's torch twin (hypertrain/oracle.py), by which generators are evaluated: imported when it is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from hyper_mcu.codegen import install
from hyper_mcu.codegen.backends import Answers, Image
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.oracle import Result
from hyper_mcu.codegen.person import Person

AT_ONCE = 16  # images, for the memory that their maps take


def twin(person: Person, images: Sequence[Image]) -> Answers:
    """What the twin says, many images at once. Raises MissingToolError without torch."""
    try:
        from hyper_mcu.hypertrain import oracle
    except ModuleNotFoundError as e:
        if e.name != "torch":
            raise
        raise MissingToolError("torch twin", "needs torch", install.extra("train"), "no such package") from None
    began = time.perf_counter()
    results: list[Result] = []
    for start in range(0, len(images), AT_ONCE):
        batch = np.stack(images[start : start + AT_ONCE])
        said = oracle.run([person.qnet] * len(batch), batch, keep_layers=True)
        rows = zip(*said.layers, strict=True)
        results += (Result(layers, int(logit)) for layers, logit in zip(rows, said.logits, strict=True))
    return Answers(tuple(results), f"torch {version('torch')}", run_seconds=time.perf_counter() - began)
