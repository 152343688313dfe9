"""Asking a model.h about the faces of a photo, wherever its C runs, and holding the answer against the oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.run import Report, Run
from hyper_mcu.faces import Crop

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """The verdict on one photo: the face that scored best, its run on every target, and the targets' costs."""

    crop: Crop
    faces: int
    runs: dict[str, Run]
    reports: dict[str, Report]

    @property
    def run(self) -> Run:
        """The run of the first target; the others are equal, or there is no Answer."""
        return next(iter(self.runs.values()))


def ask(photo: Path, which: str | None, header: Path, person: Person, targets: list[str], progress: Progress) -> Answer:
    """Runs the compiled header on every chosen face of `photo` and on every target.

    Raises UserError where a photo or a tool is unfit, and where a target's bytes differ from the oracle's.
    """
    import numpy as np

    from hyper_mcu.codegen import oracle
    from hyper_mcu.codegen.run import run_model
    from hyper_mcu.faces import face_crops

    progress("looking for faces")
    crops = face_crops(photo, which, "probe")
    probes = [np.ascontiguousarray(c.pixels).tobytes() for c in crops]
    runs: dict[str, Run] = {}
    reports: dict[str, Report] = {}
    best = 0
    for target in targets:
        all_runs, reports[target] = run_model(header, probes, target, progress=progress)
        best = max(range(len(all_runs)), key=lambda i: all_runs[i].logit) if not runs else best
        runs[target] = all_runs[best]
    progress("checking against the oracle")
    expected = oracle.run(person.qnet, crops[best].pixels)
    for target, r in runs.items():
        if (r.logit, r.layers_sha256) != (expected.logit, expected.layers_sha256):
            got = f"{r.logit} {r.layers_sha256[:16]}"
            raise UserError(
                f"{header} on {target}",
                "differs from the oracle",
                f"{expected.logit} {expected.layers_sha256[:16]}",
                got,
            )
    return Answer(crops[best], len(crops), runs, reports)
