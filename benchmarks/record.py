"""What every result carries: machine, versions, command, commit."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "onnxruntime", "torch", "unicorn", "ziglang")


def about(faces: Path | None = None) -> dict[str, object]:
    """Commit, command, machine and versions. faces: the folder of photos, which the command calls FACES."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs")  # but for what this writes
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    words = [f"benchmarks/{Path(sys.argv[0]).name}", *(_without(faces, word) for word in sys.argv[1:])]
    return {
        "commit": commit + ("-dirty" if changed else ""),
        "command": shlex.join(["python", *words]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()


def _without(faces: Path | None, word: str) -> str:
    """A word of the command line, `PATH` or `--option=PATH`, with FACES for that folder, wherever it lies, and of any
    other place of this machine its name alone."""
    option, equals, value = word.rpartition("=")
    path = Path(value)
    if faces is not None and faces.parts and path.is_relative_to(faces):
        path = Path("FACES", path.relative_to(faces))
    elif path.is_absolute():
        path = Path(path.name)
    else:
        return word
    return f"{option}{equals}{path}"
