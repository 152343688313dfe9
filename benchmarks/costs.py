"""Does one person cost no more than what was promised?

`hyper-mcu bench` for a person with random weights on every target, by gcc at -O2; by the portable kernels, and by zig,
on some more. With --check, a broken budget is exit code 1; a missed goal is told and breaks nothing. With --save FILE,
the figures go there as JSON with machine, versions and commit; `hyper-mcu compare` reads them.

    python benchmarks/costs.py --check --save benchmarks/results/costs.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from record import about

from hyper_mcu.cli.bench import ran, remarks, result, summary
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.presets import preset
from hyper_mcu.peers import GOALS

Budgets = dict[str, Mapping[str, float]]  # of a target, of a figure
TARGETS = ("host", "m3", "m4", "m7", "m33", "m55", "rv32imc")
BESIDE = {  # more builds, told as "m4 zig": toolchain, kernels, targets
    "portable": ("gcc", "portable", ("m4", "rv32imc")),
    "zig": ("zig", "", ("m4", "rv32imc")),
}
EVERY = {"person_bytes": 27_648, "ram_bytes": 20_480, "stack_bound_bytes": 1_024}
PACKED, PLAIN = {**EVERY, "text_bytes": 10_240}, {**EVERY, "text_bytes": 6_144}  # kernels of packed arithmetic, others
PROMISED: Budgets = {  # what a release holds
    "m3": {**PLAIN, "instructions_per_mac": 3.8},
    "m4": {
        **PACKED,
        "instructions_per_mac": 1.4,
        "groups_3x3_instructions_per_mac": 1.1,
        "modelled_cycles_per_mac": 2.0,
    },
    "m7": {**PACKED, "instructions_per_mac": 1.4},
    "m33": {**PACKED, "instructions_per_mac": 1.4},
    "m55": {**PACKED, "instructions_per_mac": 0.5},
    "rv32imc": {**PLAIN, "instructions_per_mac": 4.2},
    "m4 portable": PLAIN,
}
KEPT: Budgets = {  # about two hundredths above what was measured: what costs more than that is seen
    "m3": {"text_bytes": 4_080, "ram_bytes": 14_336, "stack_bound_bytes": 432, "instructions": 13_950_000},
    "m4": {
        "text_bytes": 9_060,
        "rodata_bytes": 2_040,
        "ram_bytes": 14_336,
        "stack_bound_bytes": 512,
        "instructions": 6_000_000,
    },
    "m55": {"text_bytes": 7_700, "ram_bytes": 14_336, "stack_bound_bytes": 664, "instructions": 2_470_000},
    "rv32imc": {"text_bytes": 5_560, "ram_bytes": 14_336, "stack_bound_bytes": 432, "instructions": 17_630_000},
    "m4 portable": {"instructions": 20_600_000},
    "rv32imc portable": {"instructions": 29_300_000},
}


def measured() -> dict[str, Any]:
    """The result of bench, further builds beside those of the compiler's choice by gcc."""
    people = [seeded(preset("paper"))]
    builds = {"": ("gcc", "", TARGETS), **BESIDE}
    told: dict[str, Any] = {}
    for beside, (toolchain, kernels, targets) in builds.items():
        os.environ["HYPER_MCU_TOOLCHAIN"] = toolchain
        one = result(people, targets, 2, kernels, lambda text: None)
        figures = {f"{name} {beside}".strip(): t for name, t in one["targets"].items()}
        told = {**one, **told, "targets": {**told.get("targets", {}), **figures}}
    return told


def limits() -> Iterator[tuple[str, str, float]]:
    """Target, figure and budget, one by one."""
    for budgets in (PROMISED, KEPT):
        for target, figures in budgets.items():
            yield from ((target, name, most) for name, most in figures.items())


def broken(told: dict[str, Any]) -> list[str]:
    """Broken budgets, one line each; one that was not measured is broken."""
    lines = []
    for target, name, most in limits():
        figure = ran(told).get(target, {}).get(name)
        if figure is None or figure > most:
            said = "not measured" if figure is None else f"{figure:,}"
            lines.append(f"{target}: {name}: {said}; the budget is {most:,}")
    return lines


def aims(told: dict[str, Any]) -> Iterator[str]:
    """A line for each target with a goal that ran: what was promised, the goal, and how far that is missed."""
    for target, goal in GOALS.items():
        figure = ran(told).get(target, {}).get("instructions_per_mac")
        if figure is not None:
            promised = PROMISED[target]["instructions_per_mac"]
            said = "reached" if figure <= goal else f"missed by {figure / goal - 1:.1%}"
            yield f"{target}: {figure:.2f} instructions a MAC: promised {promised:.2f}, goal {goal:.2f}: {said}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Costs of one person.")
    parser.add_argument("--check", action="store_true", help="exit code 1 on a broken budget")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    told = measured()
    print("\n".join([summary(told), "", *aims(told), "", *remarks(told)]))
    over = broken(told)
    for line in over:
        print(line, file=sys.stderr)
    if options.save:
        figures = {"schema_version": 1, **about(), "budgets": {"promised": PROMISED, "kept": KEPT}, **told}
        options.save.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
