"""Raw photo in, verdict of the emulated core out: how often is it right, and are host, oracle and core identical?

For each person of a folder PERSON-KIND-NO.jpg: enrols the first frontal photo, asks about the person's other frontal
photos and about a frontal photo of the next people. Every answer is computed by the oracle, the compiled C of this
machine and the emulated core, and a difference stops the run.

    python benchmarks/raw_photos.py --photos FACES/raw --save benchmarks/results/raw_photos.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from record import about

from hyper_mcu import enroll, generator
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.faces import face_crops
from hyper_mcu.probe import ask

STRANGERS = 2  # asked about for each enrolled person
FMRS = (1e-1, 1e-2, 1e-3)  # that thresholds are set for; the last one is the default of enrolment


def unfit(photo: Path, error: UserError) -> str:
    """What is wrong with the photo; raises the error again where it is about anything else."""
    if error.where != str(photo):
        raise error
    return error.what


def main() -> int:
    parser = argparse.ArgumentParser(description="Verdicts on raw photos, on every target.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--target", default="host,m4")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    people: dict[str, list[Path]] = {}
    for photo in sorted(o.photos.glob("*-frontal-*.jpg")):
        people.setdefault(photo.name.split("-")[0], []).append(photo)
    names = sorted(people)
    g = generator.load()
    genuine, impostor, refused = list[list[bool]](), list[list[bool]](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.h"
        for i, name in enumerate(names):
            try:
                e = enroll.embedding(face_crops(people[name][0], "largest", "enrol")[0], g.backbone, enroll.Stopwatch())
            except UserError as error:
                refused.append(unfit(people[name][0], error))
                continue
            model.write_text(emit(enroll.person(f"p{name}", e, g, enroll.Stopwatch())))
            lower = [enroll.person("p", e, g, enroll.Stopwatch(), fmr).threshold for fmr in FMRS]
            person = person_file(model)
            others = [people[names[(i + k) % len(names)]][-1] for k in range(1, STRANGERS + 1)]
            for probes, answers in ((people[name][1:], genuine), (others, impostor)):
                for probe in probes:
                    try:
                        a = ask(
                            face_crops(probe, "largest", "probe"), model, person, o.target.split(","), lambda text: None
                        )
                    except UserError as error:
                        refused.append(unfit(probe, error))
                        continue
                    answers.append([a.run.logit >= threshold for threshold in lower])
    print(f"{len(names)} people, {o.target}: every answer identical on oracle and targets")
    at = [
        {"fmr": fmr, "accepted": sum(a[i] for a in genuine), "rejected": sum(not a[i] for a in impostor)}
        for i, fmr in enumerate(FMRS)
    ]
    for row in at:
        print(
            f"threshold for FMR {row['fmr']:g}: {row['accepted']} of {len(genuine)} of the same person accepted, "
            f"{row['rejected']} of {len(impostor)} of others rejected"
        )
    print(f"refused photos: {len(refused)} {sorted(set(refused))}")
    if o.save:
        figures = {"people": len(names), "target": o.target, "genuine": len(genuine), "impostor": len(impostor)}
        figures |= {"at_thresholds": at, "refused": len(refused)}
        o.save.write_text(
            json.dumps({**about(o.photos.parent), "generator_sha256": g.sha256, **figures}, indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
