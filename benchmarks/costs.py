"""What does one person cost on a chip, and do all ways of computing the net give the same bytes?

Makes a person of the shipped generator from a seeded random embedding, builds its model.h for every target and compiler
at hand, and prints two tables: costs of the product build, and layers_sha256 by backend. With --check, a broken budget
or a differing hash is exit code 1; with --save FILE, the figures go there as JSON with machine, versions and commit.

    python benchmarks/costs.py --check --save benchmarks/results/costs.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from record import about

from hyper_mcu import enroll, generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain

# Held in continuous integration: the M4 build by arm-none-eabi-gcc at -O2 of the plain whole-map engine.
BUDGETS = {
    "person_bytes": 27_648,
    "code_bytes": 5_120,
    "ram_bytes": 75_776,
    "stack_bytes": 512,
    "instructions": 21_600_000,
}
BUDGETED = "m4 gcc, unicorn"
BACKENDS = (  # name, target, compiler asked for, emulator, what must be on PATH
    ("host gcc", "host", "gcc", "auto", "gcc"),
    ("host clang", "host", "clang", "auto", "clang"),
    ("host zig", "host", "zig", "auto", ""),
    ("m4 gcc, unicorn", "m4", "gcc", "unicorn", "arm-none-eabi-gcc"),
    ("m4 zig, unicorn", "m4", "zig", "unicorn", ""),
    ("m4 gcc, qemu", "m4", "gcc", "qemu", "qemu-system-arm"),
)


@contextmanager
def asked_for(compiler: str) -> Iterator[None]:
    """HYPER_MCU_TOOLCHAIN as given; afterwards what it was before."""
    before = os.environ.get("HYPER_MCU_TOOLCHAIN")
    os.environ["HYPER_MCU_TOOLCHAIN"] = compiler
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYPER_MCU_TOOLCHAIN"]
        else:
            os.environ["HYPER_MCU_TOOLCHAIN"] = before


def seeded_person() -> Person:
    """A person of the shipped generator from a random unit embedding, the same in every run."""
    g = generator.load()
    e = np.random.default_rng(1).standard_normal((1, 512)).astype(np.float32)
    return enroll.person("seeded", e / np.linalg.norm(e), g, enroll.Stopwatch())


def measure(p: Person) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rows of costs and rows of parity."""
    image = oracle.known_image(p.qnet.spec, 7)
    want = oracle.run(p.qnet, image)
    costs: list[dict[str, Any]] = []
    parity = [{"backend": "NumPy oracle", "status": "reference", "sha256": want.layers_sha256}]
    try:
        from hyper_mcu.hypertrain import oracle as twin

        r = twin.run([p.qnet], image[None], keep_layers=True)
        from hyper_mcu.codegen.digest import layers_sha256

        got = layers_sha256([m[0].tobytes() for m in r.layers], int(r.logits[0]))
        parity.append({"backend": "torch twin", "status": status(got, want.layers_sha256), "sha256": got})
    except ImportError:
        parity.append({"backend": "torch twin", "status": "not run: needs torch", "sha256": ""})
    with tempfile.TemporaryDirectory() as folder:
        header = Path(folder) / "model.h"
        header.write_text(emit(p))
        for name, target, compiler, emulator, tool in BACKENDS:
            if tool and not shutil.which(tool):
                parity.append({"backend": name, "status": f"not run: needs {tool}", "sha256": ""})
                continue
            with asked_for(compiler):
                try:
                    find_toolchain(target_named(target))
                except UserError as e:
                    parity.append({"backend": name, "status": f"not run: {e}", "sha256": ""})
                    continue
                (run,), report = run_model(header, image.tobytes(), target, emulator=emulator)
            parity.append(
                {"backend": name, "status": status(run.layers_sha256, want.layers_sha256), "sha256": run.layers_sha256}
            )
            costs.append(
                {
                    "backend": name, "toolchain": report.toolchain, "emulator": report.emulator,
                    "person_bytes": report.person_bytes, "code_bytes": report.code_bytes,
                    "ram_bytes": run.session_bytes,
                    "stack_bytes": run.stack_bytes, "instructions": report.instructions, "macs": p.qnet.spec.macs,
                }
            )  # fmt: skip
    return costs, parity


def status(got: str, want: str) -> str:
    """The word of the parity table."""
    return "identical" if got == want else "DIFFERENT"


def failures(costs: list[dict[str, Any]], parity: list[dict[str, str]]) -> list[str]:
    """Broken budgets and differing backends, one line each."""
    broken = [f"{r['backend']} differs from the oracle" for r in parity if r["status"] == "DIFFERENT"]
    if not any(row["backend"] == BUDGETED for row in costs):
        broken.append(f"{BUDGETED} was not run: its budgets were not held")
    for row in costs:
        if row["backend"] == BUDGETED:
            broken += [
                f"{row['backend']}: {k} {row[k]:,} above its budget {limit:,}"
                for k, limit in BUDGETS.items()
                if row[k] is not None and row[k] > limit
            ]
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(description="Costs of one person and parity of all backends.")
    parser.add_argument("--check", action="store_true", help="exit code 1 on a broken budget or a differing backend")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    costs, parity = measure(seeded_person())
    print(f"{'backend':18}{'person B':>10}{'code B':>8}{'RAM B':>8}{'stack B':>9}{'M instr.':>10}{'instr./MAC':>12}")
    for r in costs:
        n = r["instructions"]
        counted = (f"{n / 1e6:.1f}", f"{n / r['macs']:.2f}") if n else ("–", "–")
        print(
            f"{r['backend']:18}{r['person_bytes']:>10,}{r['code_bytes']:>8,}{r['ram_bytes']:>8,}{r['stack_bytes']:>9,}"
            f"{counted[0]:>10}{counted[1]:>12}"
        )
    print()
    for p in parity:
        print(f"{p['backend']:18}{p['status']:14}{p['sha256']}")
    broken = failures(costs, parity)
    for line in broken:
        print(line, file=sys.stderr)
    if options.save:
        figures = {**about(), "budgets": BUDGETS, "costs": costs, "parity": parity}
        options.save.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
