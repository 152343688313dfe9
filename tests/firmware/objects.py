"""One file of the firmware made an object by a compiler, and what the compiler says of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from flash_machine import DEVICE
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine


def compiled(source: Path, folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and stderr; the object is then in the folder, under the source's name.

    The engine is that of the header in the folder, or a tiny one. Skips where gcc has no C++ beside it.
    """
    if command[0] == "gcc" and "c++" in command and not shutil.which("g++"):
        pytest.skip("no g++ on PATH (Debian: g++)")
    if not (folder / "hm_engine.h").exists():
        (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    words = [*command, f"-I{folder}", f"-I{DEVICE}", "-c", str(source), "-o", str(folder / f"{source.stem}.o")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr
