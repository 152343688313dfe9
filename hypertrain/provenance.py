"""Which program made a result."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hyper_mcu import __version__

ROOT = Path(__file__).resolve().parents[1]  # of the checkout that this runs from, if it does


def program() -> dict[str, str]:
    """The version of hyper-mcu; from a git checkout the commit too, with -dirty where files differ from it."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return {"version": __version__}
    commit = _git("rev-parse", "--short", "HEAD")
    return {"version": __version__, "commit": commit + ("-dirty" if _git("status", "--porcelain") else "")}


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False).stdout.strip()
