"""Do all backends give the same bytes of a person's network on real faces, and what do other roundings change?

Enrols the demo's portrait and asks every backend about the first 100 crops of CFP (10 on emulated cores but M4), as
`hyper-mcu parity` does; then the runtimes that round otherwise about 1,000. With --save FILE, all figures go there as
JSON; the processor's seconds are those of all processes, which other work on the machine does not change. Exit code 1
where an exact backend differs.

    python benchmarks/parity.py --faces FACES --save benchmarks/results/parity.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from record import about

from hyper_mcu import enroll, generator
from hyper_mcu.cli import framed
from hyper_mcu.cli.parity import HEADER, as_json, cells, crops, remarks
from hyper_mcu.codegen.backends.table import BACKENDS
from hyper_mcu.codegen.parity import Outcome, differs, parity, plans
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.weights import demo_photo

EVERYWHERE, ROUNDING = 100, 1000  # crops


def rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The outcomes as JSON; why one has not run, without this machine's install line."""
    return [{**as_json(o), "reason": o.reason.partition(";")[0]} for o in outcomes]


def main() -> int:
    parser = argparse.ArgumentParser(description="Every backend on real crops, byte by byte.")
    parser.add_argument("--faces", type=Path, required=True, help="the folder with cfp/")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    g, clock = generator.load(), enroll.Stopwatch()
    portrait = demo_photo("yaoming.jpg")
    p = enroll.person("yaoming", enroll.embedding(face_crops(portrait, None, "enrol")[0], g.backbone, clock), g, clock)
    with tempfile.TemporaryDirectory() as folder, tarfile.open(o.faces / "cfp" / "cfp-00.tar") as archive:
        members = sorted((m for m in archive if m.isfile()), key=lambda m: m.name)[:ROUNDING]
        archive.extractall(folder, members, filter="data")
        shown = crops(Path(folder), p.qnet.spec, ROUNDING)
    began, used = time.perf_counter(), sum(os.times()[:4])
    outcomes = list(parity(p, shown[:EVERYWHERE], plans(BACKENDS, EVERYWHERE)))
    seconds, processor = time.perf_counter() - began, sum(os.times()[:4]) - used
    rounding = list(parity(p, shown, plans([b for b in BACKENDS if not b.exact], len(shown))))
    print(framed(HEADER, map(cells, outcomes)))
    print("\n".join([*remarks(outcomes), "", *remarks(rounding)]))
    print(f"\n{seconds:.0f} s for all backends, {processor:.0f} of the processor's")
    if o.save:
        figures: dict[str, Any] = {"generator_sha256": g.sha256}
        figures |= {"seconds": round(seconds), "processor_seconds": round(processor)}
        figures |= {"backends": rows(outcomes), "rounding": rows(rounding)}
        o.save.write_text(json.dumps({**about(o.faces), **figures}, indent=2) + "\n")
    return 1 if differs(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
