"""How a board's firmware is built: sources, flags, macros and memory map of its row, for CMake, make and gcc alike.

`python -m hyper_mcu.device.build` writes firmware/CMakePresets.json anew.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import C_WARNINGS, SECTIONS, WARNINGS, CompileError, find_toolchain, first_error
from hyper_mcu.device.boards import BOARDS, Board
from hyper_mcu.device.chips import Chip

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
PRESETS = FIRMWARE / "CMakePresets.json"
APPS = {"verify": (), "selftest": ("HM_SELFTEST=1",), "replay": ("HM_REPLAY=1", "HM_SELFTEST=1")}  # and their macros
SCRIPT = "ports/cortex_m/cortex_m.ld"
STACK_BYTES = 8192
SHARED = tuple(f"cortex_m/{name}.c" for name in ("start", "memory", "time", "partitions", "key", "without"))
STM32 = ("stm32/board.c", "stm32/usart.c")


@dataclass(frozen=True)
class Build:
    """flags: of the core. sources: of the port, relative to firmware/, as the linker script is. defines: NAME=VALUE of
    every compilation. memory: symbols of the linker script."""

    flags: tuple[str, ...]
    sources: tuple[str, ...]
    defines: tuple[str, ...]
    memory: dict[str, int]
    script: str = SCRIPT


def build_of(board: Board) -> Build:
    """The build of a board with a Cortex-M; raises UserError for others, which have build systems of their own."""
    chip = board.chip
    if board.build != "cmake" or chip is None:
        raise UserError("--board", "not built by CMake", "another board", f"{board.name}, by {board.build}")
    own = STM32 if any(s.startswith("stm32/") for s in chip.sources) else ("m4/board.c",)
    sources = [f"ports/{name}" for name in (*SHARED, *own, *chip.sources)]
    defines = [f'HM_BOARD="{board.name}"', *(f"{name}=1" for name in chip.defines), *board.defines, *_partitions(chip)]
    # a load that is passed over must not have been the one to advance a pointer
    flags = (*chip.flags, *(("-fno-auto-inc-dec",) if chip.torn_faults else ()))
    return Build(flags, tuple(sources), tuple(defines), memory(chip))


def memory(chip: Chip) -> dict[str, int]:
    """What the linker script asks for."""
    regions = {"VECTORS": chip.vectors, "CODE": chip.code, "RAM": chip.ram}
    symbols = {f"HM_{name}_ORIGIN": r.origin for name, r in regions.items()}
    symbols |= {f"HM_{name}_BYTES": r.bytes for name, r in regions.items()}
    return symbols | {"HM_STACK_BYTES": STACK_BYTES}


def _partitions(chip: Chip) -> list[str]:
    people, log, key = chip.people, chip.log, chip.key
    values = {
        "HM_NVM_WORD": chip.word,
        "HM_PEOPLE_ORIGIN": people.origin,
        "HM_PEOPLE_BYTES": people.bytes,
        "HM_PEOPLE_UNIT": people.unit,
        "HM_LOG_ORIGIN": log.origin,
        "HM_LOG_BYTES": log.bytes,
        "HM_LOG_UNIT": log.unit,
        "HM_KEY_ORIGIN": key.origin,
        "HM_KEY_REGION_BYTES": key.bytes,
    }
    if "cortex_m/flash_file.c" in chip.sources:
        first = min(r.origin for r in (people, log, key))
        values |= {"HM_FILE_ORIGIN": first, "HM_FILE_BYTES": max(r.end for r in (people, log, key)) - first}
    if chip.torn_faults:
        first = min(r.origin for r in (people, log, key))
        values |= {"HM_TORN_ORIGIN": first, "HM_TORN_BYTES": max(r.end for r in (people, log, key)) - first}
    return [f"{name}={value:#x}U" for name, value in values.items()]


def main_of(app: str) -> Path:
    """The C file of an application: one of APPS, or a file that defines hm_main."""
    return FIRMWARE / "apps" / app / "main.c" if app in APPS else Path(app)


def compile_board(
    board: Board, app: str, out: Path, engine: str, *, extra: Sequence[Path] = (), defines: Sequence[str] = ()
) -> Path:
    """Compiles and links an application (one of APPS, or a main.c) for a board to the ELF file `out`, as CMake does,
    every warning an error. engine: the text of hm_engine.h; extra: sources beside the port's.

    Raises MissingToolError where there is no arm-none-eabi-gcc, CompileError for C that does not compile.
    """
    build = build_of(board)
    gcc = str(find_toolchain(TARGETS["m4"], "gcc").path)
    (out.parent / "hm_engine.h").write_text(engine, encoding="ascii")
    named = [*build.defines, *APPS.get(app, ()), *defines]
    flags = ["-std=c11", *WARNINGS, *C_WARNINGS, *SECTIONS, "-g", "-ffreestanding", "-fno-unwind-tables", *build.flags]
    flags += [f"-D{d}" for d in named] + [f"-I{out.parent}", f"-I{FIRMWARE / 'device'}"]
    core = FIRMWARE / "device" / "hm_engine.c"
    others = [p for p in sorted((FIRMWARE / "device").glob("*.c")) if p != core]
    sources = [main_of(app), *others, *(FIRMWARE / s for s in build.sources), *extra]
    compiled = out.with_suffix(".engine.o")
    _gcc([gcc, *flags, "-O2", "-c", str(core), "-o", str(compiled)], board)
    symbols = [f"-Wl,--defsym={name}={value:#x}" for name, value in build.memory.items()]
    link = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-T", str(FIRMWARE / build.script), *symbols]
    _gcc([gcc, *flags, "-Os", *map(str, sources), str(compiled), *link, "-lgcc", "-o", str(out)], board)
    return out


def _gcc(command: list[str], board: Board) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = first_error(done.stderr) or f"exit code {done.returncode}"
        error = CompileError(board.name, "does not compile", "no error and no warning", said)
        error.output = done.stderr
        raise error


def presets() -> str:
    """The text of CMakePresets.json: a preset a board."""
    configure: list[dict[str, Any]] = []
    for board in BOARDS.values():
        if board.build != "cmake" or board.chip is None:
            continue
        build = build_of(board)
        values = {
            "CMAKE_TOOLCHAIN_FILE": "${sourceDir}/cmake/arm-none-eabi.cmake",
            "CMAKE_BUILD_TYPE": "MinSizeRel",
            "HM_CORE_FLAGS": ";".join(build.flags),
            "HM_PORT_SOURCES": ";".join(build.sources),
            "HM_PORT_DEFINES": ";".join(build.defines),
            "HM_MEMORY": ";".join(f"{name}={value:#x}" for name, value in build.memory.items()),
            "HM_ONE_PIECE": "ON" if board.chip.in_one_piece else "OFF",
        }
        configure.append(
            {
                "name": board.name,
                "displayName": board.title,
                "description": board.proven,
                "binaryDir": f"${{sourceDir}}/build/{board.name}",
                "cacheVariables": values,
            }
        )
    targets = [{"name": p["name"], "configurePreset": p["name"]} for p in configure]
    whole = {
        "version": 3,
        "cmakeMinimumRequired": {"major": 3, "minor": 21, "patch": 0},
        "configurePresets": configure,
        "buildPresets": targets,
    }
    return json.dumps(whole, indent=2) + "\n"


if __name__ == "__main__":
    PRESETS.write_text(presets(), encoding="ascii")
