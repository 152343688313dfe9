"""tests/firmware/fake_model.h in Python, variants of it, and the compilers and emulators that may run it."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import find_toolchain

HEADER = Path(__file__).parents[1] / "firmware" / "fake_model.h"
WEIGHTS = (1, -2, 3, -4, 5, -6, 7, 8)
PROBES = [bytes((5 * i * i + 29 * seed * i + seed) % 256 for i in range(96)) for seed in (0, 3, 5)]
TOOLS: dict[object, str] = {
    ("gcc", True): "gcc",
    ("clang", True): "clang",
    ("gcc", False): "arm-none-eabi-gcc",
    ("zig", True): "ziglang",
    ("zig", False): "ziglang",
    "unicorn": "unicorn",
    "qemu": "qemu-system-arm",
    "g++": "g++",
}


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


def missing(*wanted: object) -> str:
    """Why a test that needs these must be skipped, or "". Keys of TOOLS; a target stands for any compiler for it."""
    for target in wanted:
        if target in TARGETS:
            try:
                find_toolchain(TARGETS[str(target)])
            except UserError as e:
                return str(e)
    names = [TOOLS[w] for w in wanted if w in TOOLS]
    gone = [n for n in names if not (find_spec(n) if n in ("ziglang", "unicorn") else which(n))]
    return f"{', '.join(gone)} not installed" if gone else ""
