"""Does one person cost no more than what was promised?

`hyper-mcu bench` for a person with random weights on every target, by gcc at -O2, and by zig where that is the only
compiler of a newcomer. With --check, a broken budget is exit code 1; with --save FILE, the figures go there as JSON
with machine, versions and commit; `hyper-mcu compare` reads them.

    python benchmarks/costs.py --check --save benchmarks/results/costs.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from record import about

from hyper_mcu.cli.bench import ran, remarks, result, summary
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.presets import preset

TARGETS = ("host", "m3", "m4", "m7", "m33", "m55", "rv32imc")
ZIG = ("m4", "rv32imc")
BUDGETS = {  # of the builds by gcc
    "m4": {
        "person_bytes": 27_648,
        "text_bytes": 5_632,
        "rodata_bytes": 1_792,
        "ram_bytes": 14_336,
        "stack_bound_bytes": 512,
        "instructions": 23_100_000,
    },
    "m55": {"text_bytes": 7_168, "ram_bytes": 14_336, "stack_bound_bytes": 1_024, "instructions": 2_670_000},
    "m3": {"text_bytes": 4_000, "ram_bytes": 14_336, "stack_bound_bytes": 512, "instructions": 14_000_000},
    "rv32imc": {"text_bytes": 5_632, "ram_bytes": 14_336, "stack_bound_bytes": 512, "instructions": 17_700_000},
}


def measured() -> dict[str, Any]:
    """The result of bench, zig's builds beside gcc's."""
    people = [seeded(preset("paper"))]
    told: dict[str, Any] = {}
    for kind, targets in (("gcc", TARGETS), ("zig", ZIG)):
        os.environ["HYPER_MCU_TOOLCHAIN"] = kind
        one = result(people, targets, 2, "", lambda text: None)
        names = {name: name if kind == "gcc" else f"{name} {kind}" for name in targets}
        told = {**one, "targets": {**told.get("targets", {}), **{names[n]: t for n, t in one["targets"].items()}}}
    return told


def broken(told: dict[str, Any]) -> list[str]:
    """Broken budgets, one line each; one that was not measured is broken."""
    lines = []
    for target, budgets in BUDGETS.items():
        figures = ran(told).get(target, {})
        for name, most in budgets.items():
            figure = figures.get(name)
            if figure is None or figure > most:
                said = "not measured" if figure is None else f"{figure:,}"
                lines.append(f"{target}: {name}: {said}; the budget is {most:,}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Costs of one person.")
    parser.add_argument("--check", action="store_true", help="exit code 1 on a broken budget")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    told = measured()
    print("\n".join([summary(told), "", *remarks(told)]))
    over = broken(told)
    for line in over:
        print(line, file=sys.stderr)
    if options.save:
        figures = {"schema_version": 1, **about(), "budgets": BUDGETS, **told}
        options.save.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
