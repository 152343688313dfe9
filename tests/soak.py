"""Random nets, thousand after thousand: the oracle against the emitted C, sanitised, and other backends.

    python tests/soak.py --nets 10000 [--first 0] [--backends onnx,tflm,litert-ref,twin,m4,m55,rv32imc]

The C is that of the portable kernels in even thousands, of the tiled ones in odd ones. Of each eight nets emulated
cores get one: there is a build for each.

Thousand N is drawn from seed N, and --first N goes on there. A line for each thousand; exit code 1 at the first
difference, which is told with its net, and 2 where a backend fails otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "codegen"))
from c_programs import HOST, HOST_COMPILERS, SANITIZED, sanitizes
from hypothesis import given, seed
from random_nets import NETS_A_PROGRAM, PROGRAMS, Net, a_few, check, people

from hyper_mcu.codegen.backends import Backend
from hyper_mcu.codegen.backends.table import backends_named
from hyper_mcu.codegen.errors import MissingToolError, UserError

THOUSAND = 1000
BACKENDS = "twin,onnx,tflm,litert-ref,m4,m55,rv32imc"


def check_others(nets: Sequence[Net], backends: Sequence[Backend], ran: Counter[str]) -> None:
    """Every byte and the logit of every net on every backend that is here; on emulated cores of the first net."""
    made, expected = people(nets)
    for backend in backends:
        n = 1 if backend.place == "emulated" else len(nets)
        for p, (_, image), want in zip(made[:n], nets[:n], expected[:n], strict=True):
            try:
                (got,) = backend.ask(p, [image]).results
            except MissingToolError:
                break
            assert got.layers_sha256 == want.layers_sha256, f"{backend.name} differs on {p.qnet.spec.to_json()}"
            ran[backend.name] += 1


def soak(number: int, nets: int, backends: Sequence[Backend]) -> Counter[str]:
    """How many nets of thousand `number` each way of computing them got right; raises AssertionError at the first one
    that is not."""
    ran = Counter[str]({b.name: 0 for b in backends})
    compiler = HOST_COMPILERS[number // 2 % len(HOST_COMPILERS)] if HOST_COMPILERS else HOST
    options = ("-O1", *SANITIZED[1:]) if compiler and sanitizes(compiler) else ("-O2",)
    options += ("-DHM_KERNELS=HM_TILED",) if number % 2 else ()

    @seed(number)
    @a_few(-(-nets // NETS_A_PROGRAM), derandomize=False)
    @given(PROGRAMS)
    def run(drawn: list[Net]) -> None:
        if compiler:
            with tempfile.TemporaryDirectory() as folder:
                check(Path(folder), drawn, *options, compiler=(compiler,))
            ran[f"{compiler} {' '.join(options)}"] += len(drawn)
        check_others(drawn, backends, ran)

    run()
    return ran


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Random nets on everything that computes them, against the oracle.")
    parser.add_argument("--nets", type=int, default=10 * THOUSAND)
    parser.add_argument("--first", type=int, default=0, help="the thousand to begin with")
    parser.add_argument("--backends", default=BACKENDS, help="of hyper-mcu parity's table")
    options = parser.parse_args(words)
    try:
        backends = backends_named([name for name in options.backends.split(",") if name])
    except UserError as e:
        parser.error(str(e))
    for start in range(0, options.nets, THOUSAND):
        number, began = options.first + start // THOUSAND, time.perf_counter()
        try:
            ran = soak(number, min(THOUSAND, options.nets - start), backends)
        except AssertionError as e:
            print(f"thousand {number}: DIFFERENT: {e}", flush=True)
            return 1
        except UserError as e:
            print(f"thousand {number}: {e}", file=sys.stderr)
            return 2
        told = ", ".join(f"{name} {n if n else 'not run'}" for name, n in ran.items())
        print(f"thousand {number}: identical: {told}; {time.perf_counter() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
