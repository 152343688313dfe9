"""tests/firmware/fake_model.h in Python, variants of it, and the compilers and emulators that may run it."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from hyper_mcu.codegen.emulate import EMULATORS, find_emulator
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import find_toolchain

HEADER = Path(__file__).parents[1] / "firmware" / "fake_model.h"
CORES = [(target.name, emulator) for target in TARGETS.values() for emulator in target.emulators]
WEIGHTS = (1, -2, 3, -4, 5, -6, 7, 8)
PROBES = [bytes((5 * i * i + 29 * seed * i + seed) % 256 for i in range(96)) for seed in (0, 3, 5)]


def expected(probe: bytes) -> tuple[int, tuple[bytes, bytes], str]:
    """Logit, layers and their hash of the stand-in."""
    logit, flipped, sums = 0, b"", b""
    for y in range(4):
        row = probe[24 * y : 24 * y + 24]
        total = y + sum((pixel - 128) * WEIGHTS[x % 8] for x, pixel in enumerate(row))
        logit += total
        flipped += bytes(pixel ^ 128 for pixel in row)
        sums += bytes([total & 255])
    digests = b"".join(hashlib.sha256(layer).digest() for layer in (flipped, sums))
    return logit, (flipped, sums), hashlib.sha256(digests + logit.to_bytes(4, "little", signed=True)).hexdigest()


def variant(folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the stand-in with pieces of its text replaced."""
    text = HEADER.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "model.h"
    path.write_text(text)
    return path


def missing(*wanted: str | tuple[str, str]) -> str:
    """Why a test that needs these must be skipped, or "".

    A target's name stands for any compiler for it, (kind, target) for one of that kind, (emulator, target) for that
    emulator; another name is an executable or a package.
    """
    for name in wanted:
        tool, target = name if isinstance(name, tuple) else ("", name)
        try:
            if tool in (*EMULATORS, "auto"):
                find_emulator(TARGETS[target], tool)
            elif target in TARGETS:
                find_toolchain(TARGETS[target], tool)
            elif not which(target) and not find_spec(target):
                return f"{target} not installed"
        except MissingToolError as e:
            return str(e)
    return ""


def need(*wanted: str | tuple[str, str]) -> None:
    """Skips the test by the name of what is not installed."""
    if why := missing(*wanted):
        pytest.skip(why)
