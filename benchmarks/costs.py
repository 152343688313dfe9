"""What does one person cost on a chip?

Makes a person of the shipped generator from a seeded random embedding, builds its model.h for every target and compiler
at hand, and prints what the product build costs. With --check, a broken budget, or a layer that is not the oracle's, is
exit code 1; with --save FILE, the figures go there as JSON with machine, versions and commit.

    python benchmarks/costs.py --check --save benchmarks/results/costs.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import about

from hyper_mcu import enroll, generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain

# Held in continuous integration: builds by gcc at -O2.
BUDGETS = {
    "m4 gcc, unicorn": {
        "person_bytes": 27_648,
        "code_bytes": 7_424,
        "ram_bytes": 14_336,
        "stack_bytes": 512,
        "instructions": 23_100_000,
    },
    "rv32imc gcc, unicorn": {"code_bytes": 7_808, "stack_bytes": 512, "instructions": 33_200_000},
}
BUILDS = (  # name, target, compiler, emulator
    ("host gcc", "host", "gcc", "auto"),
    ("host clang", "host", "clang", "auto"),
    ("host zig", "host", "zig", "auto"),
    ("m4 gcc, unicorn", "m4", "gcc", "unicorn"),
    ("m4 zig, unicorn", "m4", "zig", "unicorn"),
    ("m4 gcc, qemu", "m4", "gcc", "qemu"),
    ("m55 gcc, qemu", "m55", "gcc", "qemu"),
    ("rv32imc gcc, unicorn", "rv32imc", "gcc", "unicorn"),
    ("rv32imc zig, unicorn", "rv32imc", "zig", "unicorn"),
)


def seeded_person() -> Person:
    """A person of the shipped generator from a random unit embedding, the same in every run."""
    g = generator.load()
    e = np.random.default_rng(1).standard_normal((1, 512)).astype(np.float32)
    return enroll.person("seeded", e / np.linalg.norm(e), g, enroll.Stopwatch())


def measure(p: Person) -> list[dict[str, Any]]:
    """Rows of costs; one with "missing" for what is not installed."""
    image = oracle.known_image(p.qnet.spec, 7)
    want = oracle.run(p.qnet, image)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        header = Path(folder) / "model.h"
        header.write_text(emit(p))
        for name, target, compiler, emulator in BUILDS:
            try:
                tools = find_toolchain(target_named(target), compiler)
                (run,), report = run_model(header, image.tobytes(), target, tools=tools, emulator=emulator)
            except MissingToolError as e:
                rows.append({"build": name, "missing": str(e)})
                continue
            rows.append(
                {
                    "build": name, "toolchain": report.toolchain, "emulator": report.emulator,
                    "person_bytes": report.person_bytes, "code_bytes": report.code_bytes,
                    "ram_bytes": run.session_bytes,
                    "stack_bytes": run.stack_bytes, "instructions": report.instructions, "macs": p.qnet.spec.macs,
                    "identical": run.layers_sha256 == want.layers_sha256,
                }
            )  # fmt: skip
    return rows


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """Broken budgets and differing builds, one line each."""
    ran = [r for r in rows if "missing" not in r]
    broken = [f"{r['build']} differs from the oracle" for r in ran if not r["identical"]]
    for build, budgets in BUDGETS.items():
        row = next((r for r in ran if r["build"] == build), None)
        if row is None:
            broken.append(f"{build} was not run: its budgets were not held")
            continue
        broken += [
            f"{build}: {k} {row[k]:,} above its budget {limit:,}"
            for k, limit in budgets.items()
            if row[k] is not None and row[k] > limit
        ]
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(description="Costs of one person.")
    parser.add_argument("--check", action="store_true", help="exit code 1 on a broken budget or a differing layer")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    rows = measure(seeded_person())
    print(f"{'build':22}{'person B':>10}{'code B':>8}{'RAM B':>8}{'stack B':>9}{'M instr.':>10}{'instr./MAC':>12}")
    for r in rows:
        if "missing" in r:
            print(f"{r['build']:22}  not run: {r['missing']}")
            continue
        n = r["instructions"]
        counted = (f"{n / 1e6:.1f}", f"{n / r['macs']:.2f}") if n else ("–", "–")
        print(
            f"{r['build']:22}{r['person_bytes']:>10,}{r['code_bytes']:>8,}{r['ram_bytes']:>8,}{r['stack_bytes']:>9,}"
            f"{counted[0]:>10}{counted[1]:>12}"
        )
    broken = failures(rows)
    for line in broken:
        print(line, file=sys.stderr)
    if options.save:
        figures = {**about(), "budgets": BUDGETS, "costs": rows}
        options.save.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
