"""Compiles and runs model.h on this machine: every compiler found, every warning an error, every row of every stage."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.toolchain import C_WARNINGS, WARNINGS

C11 = ("-std=c11", *WARNINGS, *C_WARNINGS)
CXX14 = ("-x", "c++", "-std=c++14", *WARNINGS)
SANITIZED = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
HOST = next((c for c in ("gcc", "clang", "cc") if shutil.which(c)), "")
HOST_COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
CROSS = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-ffreestanding")

_MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void say(int32_t a, int32_t b, int32_t c) {
    const int32_t record[3] = {a, b, c};
    fwrite(record, sizeof record, 1, stdout);
}
int main(void) {
%s    return 0;
}
"""
_VERIFY = r"""
    {   /* by rows, each in memory of its own that is gone when the next one comes; then as a whole image */
        static {p}_session session;
        static uint8_t image[{P}_INPUT_BYTES];
        if (fread(image, sizeof image, 1, stdin) != 1) { return 1; }
        hm_verdict verdict = {0, 0, 0, false};
        hm_status status = {p}_begin(&session, &{p}_person_{name});
        for (int y = 0; y < {P}_INPUT_ROWS && status == HM_OK; y++) {
            uint8_t *row = (uint8_t *)malloc({P}_ROW_BYTES);
            if (row == NULL) { return 1; }
            memcpy(row, image + y * {P}_ROW_BYTES, {P}_ROW_BYTES);
            status = {p}_push_row(&session, row);
            free(row);
        }
        if (status == HM_OK) { status = {p}_end(&session, &verdict); }
        say(-1, (int32_t)status, verdict.logit);
        status = {p}_verify(&session, &{p}_person_{name}, image, &verdict);
        say(-1, (int32_t)status, verdict.logit);
        say(-2, verdict.match, (int32_t){p}_known_answer(&session, &{p}_person_{name}));
    }
"""
_TAP = r"""
#include <stdint.h>
#include <stdio.h>
static void tap(int layer, int row, const int8_t *bytes, int n) {
    const int32_t record[3] = {layer, row, n};
    fwrite(record, sizeof record, 1, stdout);
    fwrite(bytes, 1, (size_t)n, stdout);
}
#define HM_TAP(layer, row, bytes, n) tap(layer, row, bytes, n)
#define HYPER_MCU_IMPLEMENTATION
"""


@dataclass(frozen=True)
class Answer:
    """What the C said of one image: all rows of each stage (bytes), logit, match; the self-test's status."""

    layers: tuple[bytes, ...]
    logit: int
    match: bool
    known_answer: int


def zig() -> tuple[str, ...] | None:
    """The zig C compiler of this Python, if it is installed."""
    return (sys.executable, "-m", "ziglang", "cc") if find_spec("ziglang") else None


@cache
def sanitizes(compiler: str) -> bool:
    """Whether this compiler is there and has its sanitizers' libraries, which some packages leave out."""
    if not shutil.which(compiler):
        return False
    command = [compiler, *SANITIZED, "-x", "c", "-", "-o", "/dev/null"]
    return (
        subprocess.run(command, input=b"int main(void) { return 0; }", capture_output=True, check=False).returncode == 0
    )


def compile_c(folder: Path, sources: dict[str, str], *options: str, compiler: Sequence[str] = (HOST,)) -> Path:
    """Writes the sources and compiles the .c files among them to a program; the compiler's complaints fail the test."""
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="ascii")
    program = folder / "program"
    files = [str(folder / n) for n in sources if n.endswith(".c")]
    done = subprocess.run(
        [*compiler, *options, *files, "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return program


def run(program: Path, data: bytes = b"") -> bytes:
    """The program's stdout; anything but exit status 0 fails the test with its stderr."""
    done = subprocess.run([str(program)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def answers(
    folder: Path, people: Sequence[Person], images: Sequence[NDArray[np.uint8]], *options: str,
    compiler: Sequence[str] = (HOST,),
) -> list[Answer]:  # fmt: skip
    """One program with every person's net, each under a prefix of its own: what each says of its image.

    Fails where pushing rows and giving the whole image differ in any row of any stage.
    """
    prefixes = [f"net{i}" for i in range(len(people))]
    sources = {f"{x}.h": emit(p, x) for x, p in zip(prefixes, people, strict=True)}
    verify = "".join(
        _VERIFY.replace("{p}", x).replace("{P}", x.upper()).replace("{name}", p.name)
        for x, p in zip(prefixes, people, strict=True)
    )
    includes = "".join(f'#include "{x}.h"\n' for x in prefixes)
    sources["main.c"] = _TAP + includes + _MAIN % verify
    program = compile_c(folder, sources, *C11, *options, compiler=compiler)
    out = run(program, b"".join(i.tobytes() for i in images))
    return _answers(out, [len(p.qnet.spec.stages) for p in people])


def _answers(out: bytes, stages: Sequence[int]) -> list[Answer]:
    at = 0

    def record() -> tuple[int, int, int]:
        nonlocal at
        at += 12
        a, b, c = np.frombuffer(out[at - 12 : at], "<i4")
        return int(a), int(b), int(c)

    def verdict(n: int) -> tuple[tuple[bytes, ...], int]:
        nonlocal at
        layers, rows = [b""] * n, [0] * n
        while (head := record())[0] >= 0:
            layer, row, size = head
            assert row == rows[layer], "rows of a stage come in order"
            rows[layer] += 1
            layers[layer] += out[at : at + size]
            at += size
        assert head[:2] == (-1, 0), f"status {head[1]}"
        return tuple(layers), head[2]

    found = []
    for n in stages:
        by_rows, whole = verdict(n), verdict(n)
        assert by_rows == whole
        while (head := record())[0] >= 0:  # the rows of the self-test
            at += head[2]
        found.append(Answer(*whole, bool(head[1]), head[2]))
    assert at == len(out)
    return found
