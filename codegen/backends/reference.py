"""The NumPy oracle as a backend: the one that the others are compared with."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import Answers, Image
from hyper_mcu.codegen.person import Person


def reference(person: Person, images: Sequence[Image]) -> Answers:
    """What the oracle says."""
    began = time.perf_counter()
    results = tuple(oracle.run(person.qnet, image) for image in images)
    return Answers(results, f"NumPy {np.__version__}", run_seconds=time.perf_counter() - began)
