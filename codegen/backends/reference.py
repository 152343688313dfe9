"""The NumPy oracle as a backend, the one that the others are compared with; and the oracle with another rounding."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from hyper_mcu.codegen.backends import Answers, Image
from hyper_mcu.codegen.fixedpoint import requantise, requantise_once
from hyper_mcu.codegen.oracle import Requantise, run
from hyper_mcu.codegen.person import Person


def reference(person: Person, images: Sequence[Image]) -> Answers:
    """What the oracle says."""
    return _answers(person, images, requantise)


def single_rounding(person: Person, images: Sequence[Image]) -> Answers:
    """What TFLite's kernels say when built with TFLITE_SINGLE_ROUNDING, in NumPy: no package brings such a build."""
    return _answers(person, images, requantise_once)


def _answers(person: Person, images: Sequence[Image], rounding: Requantise) -> Answers:
    began = time.perf_counter()
    results = tuple(run(person.qnet, image, rounding) for image in images)
    return Answers(results, f"NumPy {np.__version__}", run_seconds=time.perf_counter() - began)
