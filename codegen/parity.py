"""Whether all backends compute the same net: every byte of every stage and the logit, compared with the oracle's.

A backend that is missing has not run, which is not the same as passing. One whose arithmetic is another is run as well:
what differs is counted, and does not fail.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.backends import Answers, Backend, Image
from hyper_mcu.codegen.backends.table import REFERENCE
from hyper_mcu.codegen.errors import MissingToolError, UserError, one_line
from hyper_mcu.codegen.oracle import Result
from hyper_mcu.codegen.person import Person

Status = Literal["identical", "different", "not_run"]
FEW = 10  # images for an emulated core, unless it is asked for more


@dataclass(frozen=True)
class Difference:
    """Where a backend first differs: image, stage (None: the logit), index (row, column, channel), the oracle's number
    and the backend's."""

    image: int
    stage: int | None
    index: tuple[int, ...]
    want: int
    got: int

    def __str__(self) -> str:
        where = "logit" if self.stage is None else f"stage {self.stage} at {', '.join(map(str, self.index))}"
        return f"image {self.image}, {where}: want {self.want}, got {self.got}"


@dataclass(frozen=True)
class Outcome:
    """How one backend compares with the oracle on `images` images.

    sha256, oracle_sha256: see `combined`, of the backend ("" where it gave no answers) and of the oracle on the same
    images. reason: why it gave none, in one line. elements: of all stages and images, logits included; differing: how
    many of them differ; verdicts: on how many images match and no match are swapped.
    """

    backend: Backend
    status: Status
    images: int
    oracle_sha256: str
    sha256: str = ""
    reason: str = ""
    tool: str = ""
    first: Difference | None = None
    differing: int = 0
    elements: int = 0
    verdicts: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A backend and how many images, the first ones, it is asked about."""

    backend: Backend
    images: int


def plans(backends: Sequence[Backend], images: int, everywhere: bool = False) -> list[Plan]:
    """All of `images` for every backend; unless everywhere, FEW for the emulated cores but m4, which take long."""
    few = images if everywhere else min(FEW, images)
    return [Plan(b, few if b.place == "emulated" and b.name != "m4" else images) for b in backends]


def combined(hashes: Sequence[str]) -> str:
    """One hash (hex) over several images: SHA-256 of their layers_sha256, 32 bytes each, in order; of one image, its
    own layers_sha256."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(bytes.fromhex("".join(hashes))).hexdigest()


def parity(person: Person, images: Sequence[Image], asked: Sequence[Plan]) -> Iterator[Outcome]:
    """The outcome of every plan, in their order, as they come; the oracle is asked about all images first.

    A backend that fails in whatever way differs: it did not give the oracle's bytes. As many backends run at a time as
    there are processors, and share these: seconds are not those of a machine at rest. Raises UserError without images.
    """
    if not images:
        raise UserError("parity", "nothing to ask about", "an image or more", "none")
    expected = REFERENCE.ask(person, images)
    hashes = [r.layers_sha256 for r in expected.results]

    def outcome(plan: Plan) -> Outcome:
        known = combined(hashes[: plan.images])
        try:
            given = images[: plan.images]
            answers = expected if plan.backend is REFERENCE else plan.backend.ask(person, given)
            return _compare(plan.backend, person.threshold, expected.results[: plan.images], answers, known)
        except MissingToolError as e:
            return Outcome(plan.backend, "not_run", len(given), known, reason=str(e))
        except UserError as e:
            return Outcome(plan.backend, "different", len(given), known, reason=str(e))
        except Exception as e:  # other people's runtimes have exceptions of their own
            said = one_line(f"{type(e).__name__}: {e}")[:300]
            return Outcome(plan.backend, "different", len(given), known, reason=said)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(outcome, asked)


def _compare(backend: Backend, threshold: int, expected: Sequence[Result], answers: Answers, known: str) -> Outcome:
    """The outcome of answers to the images that the oracle's `expected` are of; known: the hash of these."""
    first, differing, elements, verdicts = None, 0, 0, 0
    for i, (want, got) in enumerate(zip(expected, answers.results, strict=True)):
        for stage, a, b in _pairs(want, got):
            wrong = np.argwhere(a != b)
            elements, differing = elements + a.size, differing + len(wrong)
            if first is None and len(wrong):
                at = tuple(int(v) for v in wrong[0])
                first = Difference(i, stage, at, int(a[at]), int(b[at]))
        verdicts += (want.logit >= threshold) != (got.logit >= threshold)
    sha256 = combined([r.layers_sha256 for r in answers.results])
    return Outcome(
        backend=backend,
        status="identical" if sha256 == known else "different",
        images=len(expected),
        oracle_sha256=known,
        sha256=sha256,
        tool=answers.tool,
        first=first,
        differing=differing,
        elements=elements,
        verdicts=verdicts,
        compile_seconds=answers.compile_seconds,
        run_seconds=answers.run_seconds,
    )


def _pairs(want: Result, got: Result) -> Iterator[tuple[int | None, NDArray[Any], NDArray[Any]]]:
    """What is compared of one image: each stage, then the logit (None)."""
    for stage, (a, b) in enumerate(zip(want.layers, got.layers, strict=True)):
        yield stage, a, b
    yield None, np.array(want.logit), np.array(got.logit)


def differs(outcomes: Sequence[Outcome]) -> bool:
    """Whether an exact backend differs, or failed."""
    return any(o.backend.exact and o.status == "different" for o in outcomes)


def exact(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those of the exact backends beside the oracle that ran."""
    return [o for o in outcomes if o.backend.exact and o.backend is not REFERENCE and o.status != "not_run"]


def identical(outcomes: Sequence[Outcome]) -> bool:
    """Whether no exact backend differs and one beside the oracle ran."""
    return bool(exact(outcomes)) and not differs(outcomes)
