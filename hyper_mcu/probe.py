"""Asking a person's net about aligned faces, wherever its C runs, and holding the answer against the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.progress import Progress
from hyper_mcu.codegen.run import Report, Run
from hyper_mcu.faces import Crop


@dataclass(frozen=True)
class Answer:
    """The verdict on one photo: the face that scored best of all that were compared, its runs, the targets' costs."""

    crop: Crop
    compared: int
    runs: dict[str, Run]
    reports: dict[str, Report]

    @property
    def run(self) -> Run:
        """The run of the first target; the others are equal, or there is no Answer."""
        return next(iter(self.runs.values()))


def fmr_of_best(fmr: float, faces: int) -> float:
    """About how often the best of so many strangers' faces matches where one does with the rate `fmr`.

    1 − (1 − fmr)^faces, as if faces were independent. An upper estimate: `fmr` is a mean over owners, whose own rates
    differ, and the function is concave; faces that resemble each other lower it further.
    """
    return float(1 - (1 - fmr) ** faces)


def ask(crops: Sequence[Crop], model: Path, person: Person, targets: list[str], progress: Progress) -> Answer:
    """Runs the C of `person`, read from `model`, compiled, on every crop and on every target.

    Raises UserError where a tool is unfit, and where a target's bytes differ from the oracle's.
    """
    import numpy as np

    from hyper_mcu.codegen import oracle
    from hyper_mcu.codegen.emit_c import emit
    from hyper_mcu.codegen.run import run_model

    text = emit(person)
    probes = [np.ascontiguousarray(c.pixels).tobytes() for c in crops]
    runs, reports = dict[str, list[Run]](), dict[str, Report]()
    for target in targets:
        runs[target], reports[target] = run_model(model, probes, target, text=text, progress=progress)
    progress("checking against the oracle")
    for i, crop in enumerate(crops):
        expected = oracle.run(person.qnet, crop.pixels)
        for target, answers in runs.items():
            r = answers[i]
            if (r.logit, r.layers_sha256) != (expected.logit, expected.layers_sha256):
                want, got = (f"{v.logit} {v.layers_sha256[:16]}" for v in (expected, r))
                raise UserError(f"{model} on {target}", "differs from the oracle", want, got)
    first = runs[targets[0]]
    best = max(range(len(crops)), key=lambda i: first[i].logit)
    return Answer(crops[best], len(crops), {t: answers[best] for t, answers in runs.items()}, reports)
