"""How a board's firmware is built: sources, flags, macros and memory map of its row, for CMake, make and gcc alike.

`python -m hyper_mcu.device.build` writes firmware/CMakePresets.json anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.boards import BOARDS, Board, Chip

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
PRESETS = FIRMWARE / "CMakePresets.json"
APPS = {"verify": (), "selftest": ("HM_SELFTEST=1",), "replay": ("HM_REPLAY=1", "HM_SELFTEST=1")}  # and their macros
SCRIPT = "ports/cortex_m/cortex_m.ld"
STACK_BYTES = 8192
SHARED = ("cortex_m/start.c", "cortex_m/time.c", "cortex_m/partitions.c", "cortex_m/key.c", "cortex_m/without.c")
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
    return Build(chip.flags, (*sources, "harness/memory.c"), tuple(defines), memory(chip))


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
    return [f"{name}={value:#x}U" for name, value in values.items()]


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
