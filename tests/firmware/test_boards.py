"""The table of boards: its memory maps, its presets, and every image that is built for size and cannot be run here."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.toolchain import C_WARNINGS, WARNINGS
from hyper_mcu.device.boards import BOARDS, Board, board_named, places
from hyper_mcu.device.build import APPS, FIRMWARE, PRESETS, build_of, compile_board, presets
from hyper_mcu.device.chips import Region
from hyper_mcu.device.engine import NAME

CMAKE = [b for b in BOARDS.values() if b.build == "cmake"]
DAILY = ("nucleo-f411re", "nucleo-f746zg", "nucleo-h743zi2", "nucleo-l476rg", "nucleo-u575zi-q")  # one of each family
needs_gcc = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no arm-none-eabi-gcc on PATH")


def regions(b: Board) -> dict[str, Region]:
    """What lies in a board's memories."""
    assert b.chip
    return {name: getattr(b.chip, name) for name in ("vectors", "code", "people", "log", "key", "ram")}


def test_presets_are_those_of_the_table() -> None:
    assert PRESETS.read_text(encoding="ascii") == presets(), "python -m hyper_mcu.device.build writes it anew"


@pytest.mark.parametrize("b", CMAKE, ids=lambda b: b.name)
def test_no_two_regions_overlap_and_each_lies_in_its_memory(b: Board) -> None:
    assert b.chip
    for one, two in pairwise(sorted(regions(b).values(), key=lambda r: r.origin)):
        assert one.end <= two.origin
    assert b.chip.flash.origin <= b.chip.vectors.origin
    assert b.chip.code.end <= b.chip.flash.end
    for partition in (b.chip.people, b.chip.log, b.chip.key):
        assert partition.end <= b.chip.flash.end or b.is_emulated
        assert partition.bytes % partition.unit == partition.origin % partition.unit == 0
        assert partition.unit % 256 == partition.unit % b.chip.word == 0
    assert b.chip.log.bytes >= 2 * b.chip.log.unit
    assert b.chip.key.bytes == b.chip.key.unit
    assert places(b) >= 1


def sectors(chip_name: str) -> list[Region]:
    """The sectors of an F4 or F7, as their manuals list them (RM0090 table 5, RM0383 4, RM0390 4, RM0385 3)."""
    small = 32 if chip_name.startswith("STM32F7") else 16
    kib = {"G": 1024, "E": 512}[chip_name[-1]]
    sizes = [small] * 4 + [4 * small] + [8 * small] * ((kib - 8 * small) // (8 * small))
    found, at = [], 0x08000000
    for size in sizes:
        found.append(Region(at, size << 10, size << 10))
        at += size << 10
    return found


@pytest.mark.parametrize("name", ["netduinoplus2", "blackpill-f411ce", "nucleo-f446re", "nucleo-f746zg"])
def test_partitions_of_uneven_sectors_begin_and_end_with_them(name: str) -> None:
    chip = BOARDS[name].chip
    assert chip
    there = {s.origin: s.bytes for s in sectors(chip.name)}
    for partition in (chip.people, chip.log, chip.key):
        inside = [s for s in sectors(chip.name) if partition.origin <= s.origin < partition.end]
        assert {s.bytes for s in inside} == {partition.unit}
        assert sum(s.bytes for s in inside) == partition.bytes
        assert partition.origin in there
    for region in (chip.vectors, chip.code):  # what is written with a new program is erased by sectors
        assert region.origin in there
        assert region.end in there or region.end == chip.flash.end


def test_unknown_board_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--board: unknown; expected one of host, m4, .*, got arduino$"):
        board_named("arduino")
    with pytest.raises(UserError, match=r"^--board: not built by CMake; expected another board, got host, by host$"):
        build_of(BOARDS["host"])


@needs_gcc
@pytest.mark.parametrize(
    "b",
    [pytest.param(b, marks=() if b.name in DAILY else pytest.mark.slow) for b in CMAKE],
    ids=lambda b: b.name,
)
def test_application_fits_the_board(b: Board, tmp_path: Path) -> None:
    """Compiled as C11 with every warning an error, linked within the memory map, the vectors where the core looks."""
    assert b.chip
    out = compile_board(b, "verify", tmp_path / "verify.elf", emit_engine(seeded(preset("paper"))))
    symbols = {s.name: s for s in read_elf(out).symbols}
    for name in ("hm_reset", "hm_irq" if b.name != "m4" else "hm_tick", "hm_port_random", "hm_nvm_erase"):
        assert b.chip.code.origin <= symbols[name].value & ~1 < b.chip.code.end
    assert symbols["hm_stack_limit"].value == b.chip.ram.origin
    assert symbols["vectors"].value == b.chip.vectors.origin
    used = symbols["hm_bss_end"].value - b.chip.ram.origin
    assert 20_000 < used <= b.chip.ram.bytes


@needs_gcc
@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake on PATH (Debian: cmake)")
@pytest.mark.parametrize(
    "name", [pytest.param(b.name, marks=() if b.name == "nucleo-f411re" else pytest.mark.slow) for b in CMAKE]
)
def test_preset_builds_every_application(name: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(emit_engine(seeded(preset("paper"))), encoding="ascii")
    given = ["--preset", name, "-B", str(tmp_path / "build"), f"-DHM_ENGINE_DIR={tmp_path}"]
    for words in (["cmake", *given], ["cmake", "--build", str(tmp_path / "build")]):
        done = subprocess.run(words, cwd=FIRMWARE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stdout + done.stderr.lower()
    chip = BOARDS[name].chip
    assert chip
    for app in APPS:
        symbols = {s.name for s in read_elf(tmp_path / "build" / f"{app}.elf").symbols}
        assert {"hm_reset", "hm_device_poll", "hm_push_row"} <= symbols
        assert (tmp_path / "build" / f"{app}.hex").is_file()
        assert (tmp_path / "build" / f"{app}.bin").is_file() is chip.in_one_piece


@pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("cc"), reason="no cmake and cc on PATH")
def test_device_is_a_library_of_somebody_elses_project(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(emit_engine(seeded(preset("nano"))), encoding="ascii")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(door LANGUAGES C)\n"
        f'set(HM_ENGINE_DIR "{tmp_path}")\nadd_subdirectory("{FIRMWARE}" hyper_mcu)\n'
        f'file(GLOB port "{FIRMWARE}/ports/host/*.c")\n'
        f'add_executable(door ${{port}} "{FIRMWARE}/apps/verify/main.c")\n'
        "target_link_libraries(door PRIVATE hyper_mcu)\n"
    )
    for words in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    said = subprocess.run([tmp_path / "build" / "door", "--none"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (2, "--none: needs a value\n")


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on PATH (Debian: cppcheck)")
@pytest.mark.parametrize("name", [*DAILY, "netduinoplus2-qemu", "m4"])
def test_ports_have_no_findings(name: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(emit_engine(seeded(preset("nano"))), encoding="ascii")
    build = build_of(BOARDS[name])
    sources = [FIRMWARE / s for s in build.sources if s.startswith("ports/")]
    meant = (
        "missingIncludeSystem",
        "unusedStructMember:*start.c",  # the core reads the vector table, the program does not
        "redundantAssignment:*flash_*.c",  # two keys into one register, one after the other
        "badBitmaskCheck:*clocks_*.c",  # a divider less one, written as the manual has it, may be 0
        "duplicateExpression:*clocks_*.c",
        "*:*hm_engine.h",  # tests/firmware/test_cppcheck.py looks at it as what it is
    )
    checks = ["--enable=warning,style,performance,portability", "--inconclusive", "--std=c11", "--quiet"]
    words = ["cppcheck", *checks, *(f"--suppress={m}" for m in meant), *(f"-D{d}" for d in build.defines)]
    words += [f"-I{tmp_path}", "-D__GNUC__=12", *map(str, sources)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.skipif(not shutil.which("clang"), reason="no clang on PATH")
@pytest.mark.parametrize("name", [*DAILY, "netduinoplus2-qemu", "m4"])
def test_ports_compile_with_clang_too(name: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(emit_engine(seeded(preset("nano"))), encoding="ascii")
    build = build_of(BOARDS[name])
    core = next(f for f in build.flags if f.startswith("-mcpu="))
    sources = [str(FIRMWARE / s) for s in build.sources if s.startswith("ports/")]
    sources += [str(FIRMWARE / "apps" / app / "main.c") for app in APPS]
    words = ["clang", "--target=thumbv7em-none-eabi", core, "-mfloat-abi=soft", "-ffreestanding", "-std=c11"]
    words += [*WARNINGS, *C_WARNINGS, "-fsyntax-only", "-DHM_SELFTEST=1", "-DHM_REPLAY=1", f"-I{tmp_path}"]
    words += [f"-I{FIRMWARE / 'device'}", *(f"-D{d}" for d in build.defines), *sources]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_chip_has_its_manual_named() -> None:
    text = "".join(p.read_text() for p in (FIRMWARE / "ports" / "stm32").glob("family_*.h"))
    for b in BOARDS.values():
        if b.chip and b.family == "stm32":
            number = re.sub(r"STM32(\w\d\d\d).*", r"\1", b.chip.name)
            assert re.search(rf"{number} \(RM\d{{4}}\)", text), number
