"""Everything that computes f, each asked the same way: a person and images in, every layer's bytes and the logit out.

The oracle is one of them, and what the others are compared with (parity.py). A backend's module is imported when it
is asked, and raises MissingToolError where what it needs is not here: it has not run then, which is not to have passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.oracle import Result
from hyper_mcu.codegen.person import Person

Image = NDArray[np.uint8]  # one crop, (height, width, channels)


@dataclass(frozen=True)
class Answers:
    """What a backend said of the images, in their order; tool: what computed it, name and version.

    compile_seconds: building what runs, from the cache or not; run_seconds: all images.
    """

    results: tuple[Result, ...]
    tool: str
    compile_seconds: float = 0.0
    run_seconds: float = 0.0


@dataclass(frozen=True)
class Backend:
    """One way to compute f.

    place: where it runs; exact: whether its arithmetic is SPEC.md's, so that one differing byte is a fault: what
    differs of the others is counted.
    """

    name: str
    place: Literal["in process", "host", "emulated"]
    exact: bool
    ask: Callable[[Person, Sequence[Image]], Answers]
