"""Where do our nets stand? The paper's Table I as a picture, accuracy against parameters and against operations.

The rows are the paper's figures (benchmarks/results/table1.csv names it), of six sets; ours are those of
benchmarks/results/accuracy.json. CFP-FP is the only one of the six whose photos were to be had here, so that is what is
drawn; CFP-FF, the other set measured, is not in the table and stands in the title.

    python benchmarks/table1.py --plot docs/table1.png
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from hyper_mcu import generator
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.hypertrain import plots

RESULTS = Path(__file__).parent / "results"


def rows(path: Path) -> list[dict[str, str]]:
    """The table's rows; lines from # on are about it."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def ours(spec: NetSpec, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Our net on CFP-FP, as the chip computes it, enrolling the frontal photo."""
    fp = measured["FP"]["int8"]
    accuracy, sd = 100 * fp["accuracy_mean"], 100 * fp["accuracy_sd"]
    return [{"name": "ours, int8", "params": spec.params, "macs": spec.macs, "accuracy": accuracy, "sd": sd}]


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's Table I with our rows, as a picture.")
    parser.add_argument("--measured", type=Path, default=RESULTS / "accuracy.json")
    parser.add_argument("--plot", type=Path, required=True, help="write the picture as PNG")
    o = parser.parse_args()
    measured, g = json.loads(o.measured.read_text()), generator.load()
    if measured["generator_sha256"] != g.sha256:
        parser.error(f"{o.measured} is about another generator, {measured['generator_sha256'][:16]}")
    ff = measured["FF"]["int8"]
    title = (
        "CFP-FP, the only set of Table I that was to be had here; ours is trained on far fewer photos.\n"
        "Ours on CFP-FF, the other set measured, which Table I lacks: "
        f"{100 * ff['accuracy_mean']:.1f} ± {100 * ff['accuracy_sd']:.1f} % (int8)"
    )
    plots.table1(rows(RESULTS / "table1.csv"), ours(g.spec, measured), o.plot, title=title)


if __name__ == "__main__":
    main()
