"""What does a device cost, board by board: flash of its program, RAM of its session, of everything else, and stack?

Every application of every board in the table, by arm-none-eabi-gcc as CMake builds it (-Os, the engine -O2), for the
architecture that enrolment makes. Stack and store are those of the STM32F405's image on QEMU with two people sent and
asked about. With --save FILE, the figures go there as JSON with machine, versions and commit.

    python benchmarks/firmware.py --save benchmarks/results/firmware.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from record import about

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import find_toolchain
from hyper_mcu.device.boards import BOARDS, Board, places
from hyper_mcu.device.build import APPS, STACK_BYTES, compile_board
from hyper_mcu.device.client import Device
from hyper_mcu.device.emulated import Emulated
from hyper_mcu.device.engine import engine
from hyper_mcu.device.keys import new
from hyper_mcu.device.seal import seal
from hyper_mcu.generator import load

RUN = "netduinoplus2-qemu"


def sizes(board: Board, app: str, text: str, folder: Path) -> dict[str, int]:
    """Bytes of a linked application: of flash (code, constants, what .data begins as, vectors), of RAM without stack,
    of that the device with its session."""
    symbols = {s.name: s for s in read_elf(compile_board(board, app, folder / f"{app}.elf", text)).symbols}
    assert board.chip
    data = symbols["hm_data_end"].value - symbols["hm_data_start"].value
    loaded = symbols["hm_data_load"].value - board.chip.code.origin + data
    return {
        "flash_bytes": loaded + symbols["vectors"].size,
        "ram_bytes": symbols["hm_bss_end"].value - symbols["hm_data_start"].value,
        "device_bytes": symbols["device"].size,
    }


def used(people: tuple[Person, Person], text: str, folder: Path) -> dict[str, int]:
    """What two people take on the emulated board, and the most stack that was in use."""
    board, key = BOARDS[RUN], new(1)
    program = compile_board(board, "verify", folder / "verify.elf", text)
    with Emulated(board, program, folder) as running, Device(running.line) as device:
        device.set_key(key)
        for counter, person in enumerate(people, 1):
            device.load(seal(person, key, counter))
        device.verify(oracle.known_image(people[0].qnet.spec, 1))
        device.known_answer(people[0].name)
        info = device.info()
        return {
            "stack_bytes": info.stack,
            "session_bytes": info.session_bytes,
            "slot_bytes": info.slot_bytes,
            "sealed_person_bytes": device.people()[0].size,
        }


def measured() -> dict[str, Any]:
    """All figures."""
    spec = load().spec
    people = (replace(seeded(spec, 1), name="one"), replace(seeded(spec, 2), name="two"))
    text, told = engine(people[0]), dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="hyper-mcu-") as name:
        folder = Path(name)
        for board in BOARDS.values():
            if board.build == "cmake" and board.chip:
                told[board.name] = {app: sizes(board, app, text, folder) for app in APPS}
                told[board.name] |= {"core": board.core, "proven": board.proven, "people": places(board)}
        run = used(people, text, folder)
    tools = find_toolchain(TARGETS["m4"], "gcc")
    return {"spec": spec.id, "toolchain": str(tools), "boards": told, "stack_room_bytes": STACK_BYTES, RUN: run}


def table(told: dict[str, Any]) -> str:
    """The figures for people to read."""
    lines = [f"{'board':20} {'people':>6} {'verify':>9} {'selftest':>9} {'RAM':>7}  of that device"]
    for name, row in told["boards"].items():
        verify, selftest = row["verify"], row["selftest"]
        lines.append(
            f"{name:20} {row['people']:6} {verify['flash_bytes']:9,} {selftest['flash_bytes']:9,}"
            f" {verify['ram_bytes']:7,} {verify['device_bytes']:7,}"
        )
    run = told[RUN]
    lines += [
        "",
        f"session {run['session_bytes']:,}, stack {run['stack_bytes']:,} of {told['stack_room_bytes']:,} bytes;"
        f" a sealed person {run['sealed_person_bytes']:,} bytes, in two slots of {run['slot_bytes']:,}",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Flash and RAM of every board.")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    told = measured()
    print(table(told))
    if options.save:
        options.save.write_text(json.dumps({"schema_version": 1, **about(), **told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
