"""libFuzzer under ASan and UBSan: what every fuzzer of the firmware's C shares."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OPTIONS = ("-std=c11", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Planted:
    """A fault that is to be found: a check in the C, what stands in its place, and what the fuzzer then says."""

    check: str
    without: str
    found: str


@dataclass(frozen=True)
class Fuzzer:
    """One target. build: its program in a folder, with pieces of the C replaced; runs: how many inputs everyday tests
    try, whatever time that takes, as a slow machine is no fault; planted: by names for people."""

    what: str
    build: Callable[..., Path]
    seeds: Callable[[], Sequence[bytes]]
    runs: int
    planted: Mapping[str, Planted]


@cache
def missing() -> str:
    """Why nothing can be fuzzed here, or ""."""
    if not shutil.which("clang"):
        return "no clang on PATH"
    program = b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n); "
    program += b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }"
    words = ["clang", *OPTIONS, "-x", "c", "-", "-o", "/dev/null"]
    done = subprocess.run(words, input=program, capture_output=True, check=False)
    return "clang without its fuzzer's and sanitizers' libraries (Debian: libclang-rt-dev)" if done.returncode else ""


def changed(text: str, changes: Sequence[tuple[str, str]]) -> str:
    """C with pieces of it replaced, to plant a fault; each must be in it."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def link(folder: Path, sources: Sequence[Path | str]) -> Path:
    """The fuzzer of C sources, given as paths in `folder` or elsewhere; headers are looked for in `folder` too."""
    subprocess.run(["clang", *OPTIONS, "-I.", *sources, "-o", "fuzzer"], cwd=folder, check=True)
    return folder / "fuzzer"


def fuzz(program: Path, corpus: Path, seeds: Sequence[bytes], end: str) -> tuple[int, str]:
    """How many inputs were tried, and what the fuzzer says of a fault, or "". end: libFuzzer's word for how far."""
    for i, data in enumerate(seeds):
        (corpus / f"seed-{i:03}").write_bytes(data)
    words = [program, corpus, end, "-max_len=4096", "-print_final_stats=1", "-timeout=10"]
    # the peak of memory that the kernel tells a process begins with its parent's: it is no measure of this one
    words += ["-rss_limit_mb=0", "-malloc_limit_mb=64", f"-artifact_prefix={corpus}/fault-"]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    return int(tried[1]) if tried else 0, done.stderr if done.returncode else ""


def main(fuzzer: Fuzzer) -> int:
    """The command line of a fuzzer; exit code 1 on a fault, whose input then lies in the corpus' folder."""
    parser = argparse.ArgumentParser(description=fuzzer.what)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="folder of inputs to go on with; new ones are added")
    options = parser.parse_args()
    if why := missing():
        print(why, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
        corpus.mkdir(parents=True, exist_ok=True)
        program, end = fuzzer.build(Path(folder)), f"-max_total_time={options.seconds}"
        tried, fault = fuzz(program, corpus, fuzzer.seeds(), end)
    print(fault or f"{tried:,} inputs, no fault", file=sys.stderr if fault else sys.stdout)
    return 1 if fault else 0
