"""How long does enrolment take, and how much of a net is personal?

Takes the first frontal photo of each person of a folder PERSON-KIND-NO.jpg and runs `hyper-mcu enroll` on it:
- cold: one photo, a new process each time; the seconds of its steps are the command's own (`--json`);
- each further photo: what a process for all people takes longer than one for two, by the photo;
- personal: of the int8 weights, biases and multipliers of each stage, how many are not the same for all people.
The first run, which may have to read everything from the disk, is not counted. Seconds mean something only on an idle
machine: on a busy one `--runs 0` leaves them out.

    python benchmarks/enrolment.py --photos FACES/raw --save benchmarks/results/enrolment.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import about

from hyper_mcu import generator
from hyper_mcu.codegen.parse_header import parse
from hyper_mcu.codegen.qnet import QNet

COMMAND = (sys.executable, "-c", "from hyper_mcu.cli import main; main()", "enroll", "--face", "largest", "--json")
KINDS = ("weights", "biases", "multipliers")


def enrol(photos: Sequence[Path], out: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of one process that enrols the photos, and what it printed; raises where it made no header."""
    began = time.perf_counter()
    done = subprocess.run([*COMMAND, *photos, "--out", out], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if not done.stdout:
        raise SystemExit(done.stderr)
    return seconds, json.loads(done.stdout)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {k: round(f(values), 3) for k, f in (("median", statistics.median), ("min", min), ("max", max))}


def cold(photo: Path, out: Path, runs: int) -> dict[str, Any]:
    """Seconds of a whole process for one photo, in all and by step (medians); the rest is Python and its imports."""
    made = [enrol([photo], out) for _ in range(runs)]
    steps = {k: round(statistics.median(m["seconds"][k] for _, m in made), 4) for k in made[0][1]["seconds"]}
    rest = statistics.median(t - sum(m["seconds"].values()) for t, m in made)
    return {"runs": runs, "seconds": summary([t for t, _ in made]), "steps": {**steps, "the rest": round(rest, 4)}}


def further(photos: Sequence[Path], folder: Path, runs: int) -> dict[str, Any]:
    """Seconds for each photo beyond the second in one process."""
    seconds = [(enrol(photos, folder)[0] - enrol(photos[:2], folder)[0]) / (len(photos) - 2) for _ in range(runs)]
    return {"runs": runs, "photos": len(photos), "seconds": summary(seconds)}


def personal(nets: Sequence[QNet]) -> dict[str, dict[str, tuple[int, int]]]:
    """(personal, all) integers by stage and kind; personal are those that are not the same in all nets.

    A multiplier counts with its shift as one number.
    """

    def count(arrays: Sequence[NDArray[Any]]) -> tuple[int, int]:
        return int((np.stack(arrays) != arrays[0]).any(0).sum()), arrays[0].size

    rows: dict[str, dict[str, tuple[int, int]]] = {}
    for stage, _ in nets[0].convs:
        own = [q for n in nets if (q := n.stages[stage.index]) is not None]
        factors = [q.multiplier.astype(np.int64) << 8 | q.shift for q in own]
        counts = (count([q.weight for q in own]), count([q.bias for q in own]), count(factors))
        rows[f"stage {stage.index}"] = dict(zip(KINDS, counts, strict=True))
    rows["head"] = {"weights": count([n.head.weight for n in nets])}
    parts = {k: [row[k] for row in rows.values() if k in row] for k in KINDS}
    rows["all"] = {k: (sum(d for d, _ in v), sum(n for _, n in v)) for k, v in parts.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of enrolment, and what differs between people.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=15, help="cold processes; 0: no seconds at all")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of processes for the further photos")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    people: dict[str, Path] = {}
    for photo in sorted(o.photos.glob("*-frontal-*.jpg")):
        people.setdefault(photo.name.split("-")[0], photo)
    photos = list(people.values())
    if len(photos) < 3:
        raise SystemExit(f"{o.photos}: {len(photos)} people; expected at least 3 photos PERSON-frontal-NO.jpg")
    with TemporaryDirectory() as name:
        folder = Path(name)
        _, printed = enrol(photos, folder)
        refused = len(printed["refused"])
        rows = personal([parse(Path(p["model"])).person.qnet for p in printed["people"]])
        seconds = dict[str, dict[str, Any]]()
        if o.runs > 0:
            seconds = {"cold": cold(photos[0], folder, o.runs), "further": further(photos, folder, o.rounds)}
    for what, found in seconds.items():
        t = found["seconds"]
        print(f"{what}: {t['median']:.2f} s, {t['min']:.2f} to {t['max']:.2f} in {found['runs']} runs")
        if "steps" in found:
            print("of it: " + ", ".join(f"{k} {v:.3f}" for k, v in found["steps"].items()))
    print(
        f"\n{len(photos) - refused} people enrolled, {refused} refused; integers that are not the same for all of them:"
    )
    print(f"{'':10}{'weights':>16}{'biases':>12}{'multipliers':>14}")
    for where, row in rows.items():
        w, b, m = (f"{row[k][0]:,} of {row[k][1]:,}" if k in row else "" for k in KINDS)
        print(f"{where:10}{w:>16}{b:>12}{m:>14}")
    if o.save:
        shares = {w: {k: {"personal": d, "of": n} for k, (d, n) in row.items()} for w, row in rows.items()}
        figures = {
            **about(o.photos.parent),
            "generator_sha256": generator.load().sha256,
            **seconds,
            "people": len(photos) - refused,
            "refused": refused,
            "personal": shares,
        }
        o.save.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
