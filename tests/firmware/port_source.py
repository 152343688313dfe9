"""A program around one file of a port, with the device's flash and SHA-256, under the sanitizers."""

from __future__ import annotations

from pathlib import Path

from c_programs import C11, HOST, SANITIZED, compile_c, sanitizes
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine

FIRMWARE = Path(__file__).parents[2] / "firmware"


def compile_around(source: str, program: str, folder: Path) -> Path:
    """`program`, behind an #include of a file of firmware/ports, which so sees what is static in it."""
    text = f'#include "{FIRMWARE / "ports" / source}"\n{program}'
    device = FIRMWARE / "device"
    options = [*C11, "-Wno-conversion", "-Wno-sign-conversion", *(SANITIZED if sanitizes(HOST) else ())]
    options += [f"-I{folder}", f"-I{device}", str(device / "hm_flash.c"), str(device / "hm_sha256.c")]
    return compile_c(folder, {"main.c": text, "hm_engine.h": emit_engine(person(net(TINY)))}, *options)
