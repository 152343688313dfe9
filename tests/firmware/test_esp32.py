"""The ESP32 port's C and its project's files, without a chip and without ESP-IDF: what compiles, and what agrees."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "idf"))
import kconfig
from board import DEVICE, FIRMWARE, IDF
from kconfig import KCONFIG, PORT, PROJECT

from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.toolchain import C_WARNINGS, WARNINGS
from hyper_mcu.device.boards import BOARDS as TABLE
from hyper_mcu.device.package import esp32_boards

SOURCES = sorted([*PORT.glob("*.c"), PROJECT / "main" / "main.c"])
BOARDS = sorted(p.stem for p in (PROJECT / "boards").glob("*.defaults"))
COMPILERS = {
    "gcc": ("gcc",),
    "clang": ("clang",),
    "rv32": ("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding"),
    "xtensa": ("xtensa-lx106-elf-gcc", "-ffreestanding"),
}
HOST = next((c for c in ("gcc", "clang", "cc") if shutil.which(c)), "")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an hm_engine.h."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "hm_engine.h").write_text(emit_engine(seeded(preset("paper"))), "ascii")
    return folder


def compiles(compiler: tuple[str, ...], folder: Path, includes: list[Path], *more: str, sources=SOURCES) -> str:
    """What the compiler has to say, "" for nothing."""
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]} on PATH")
    flags = [
        *compiler,
        "-std=c11",
        *WARNINGS,
        *C_WARNINGS,
        "-O2",
        "-DESP_PLATFORM",
        *more,
        *(f"-I{x}" for x in includes),
    ]
    words = [*flags, "-c", *map(str, sources)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("idf", [5, 6])
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_port_and_application_compile_against_our_declarations(
    tmp_path: Path, engine: Path, compiler: str, board: str, idf: int
) -> None:
    (tmp_path / "sdkconfig.h").write_text(kconfig.sdkconfig(board), "ascii")
    includes = [tmp_path, engine, IDF, PORT, DEVICE, FIRMWARE]
    assert compiles(COMPILERS[compiler], tmp_path, includes, f"-DIDF_MAJOR={idf}") == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"HYPER_MCU_LIGHT": "-1", "HYPER_MCU_TRIGGER": "-1", "HYPER_MCU_ROOM": "0"},
        {"HYPER_MCU_TRIGGER_ACTIVE_HIGH": "1", "HYPER_MCU_SET_KEY": "", "SPIRAM": "", "HYPER_MCU_FRAME_QVGA": ""},
        {
            "HYPER_MCU_RGB565_LITTLE": "1",
            "HYPER_MCU_FRAME_QQVGA": "1",
            "HYPER_MCU_UART": "1",
            "HYPER_MCU_UART_TX": "14",
        },
        {"HYPER_MCU_FRAME_VGA": "1", "HYPER_MCU_LINK_USB": "1"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_other_settings_compile(tmp_path: Path, engine: Path, changed: dict[str, str]) -> None:
    (tmp_path / "sdkconfig.h").write_text(kconfig.sdkconfig("esp32-cam", **changed), "ascii")
    assert compiles((HOST or "gcc",), tmp_path, [tmp_path, engine, IDF, PORT, DEVICE, FIRMWARE]) == ""


@pytest.mark.parametrize("compiler", ["rv32", "xtensa"])
def test_device_compiles_for_the_chips_instruction_sets(tmp_path: Path, engine: Path, compiler: str) -> None:
    sources = sorted(DEVICE.glob("*.c"))
    assert compiles(COMPILERS[compiler], tmp_path, [engine], sources=sources) == ""


def test_kconfig_has_every_option_that_the_c_asks_for_and_no_other() -> None:
    text = "".join(p.read_text("ascii") for p in [*PORT.glob("*.[ch]"), *(PROJECT / "main").glob("*.c")])
    found, _ = kconfig.options(KCONFIG.read_text("ascii"))
    asked = set(re.findall(r"CONFIG_(HYPER_MCU_\w+)", text))
    names = {o.name for o in found}
    assert asked - names == set()
    implied = {
        "HYPER_MCU_LINK_UART",
        "HYPER_MCU_FRAME_QVGA",
        "HYPER_MCU_APP_VERIFY",
    }  # what there is where the others of a choice are not
    boards = {n for n in names if n.startswith("HYPER_MCU_BOARD_")}
    assert names - asked == implied | boards


def test_kconfigs_defaults_are_within_their_ranges() -> None:
    for board in BOARDS:
        values = kconfig.macros(board)
        for option in kconfig.options(KCONFIG.read_text("ascii"))[0]:
            if option.range and option.name in values:
                low, high = option.range
                assert low <= int(values[option.name]) <= high, option.name


def test_boards_set_no_option_of_ours_that_kconfig_does_not_have() -> None:
    names = {o.name for o in kconfig.options(KCONFIG.read_text("ascii"))[0]}
    for path in [PROJECT / "sdkconfig.defaults", *(PROJECT / "boards").iterdir()]:
        assert {n for n in kconfig.given(path) if n.startswith("HYPER_MCU")} <= names


PRINT = r"""
#include "esp_camera.h"
#include "hm_esp32.h"
#include "hm_esp32_config.h"
#include <stdio.h>

#define TELL(name) printf(#name " %ld\n", (long)(name))

int main(void)
{
    puts(HM_ESP32_BOARD);
MACROS
    return 0;
}
"""


@pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
@pytest.mark.parametrize("board", BOARDS)
def test_a_board_without_kconfig_is_the_board_of_kconfig(tmp_path: Path, engine: Path, board: str) -> None:
    text = (PORT / "hm_esp32_config.h").read_text("ascii")
    names = sorted(set(re.findall(r"#define (HM_ESP32_\w+)", text)) - {"HM_ESP32_CONFIG_H", "HM_ESP32_BOARD"})
    (tmp_path / "main.c").write_text(PRINT.replace("MACROS", "\n".join(f"    TELL({n});" for n in names)), "ascii")
    whole = kconfig.sdkconfig(board)
    bare = "".join(line for line in whole.splitlines(keepends=True) if "CONFIG_HYPER_MCU" not in line)
    said = []
    for number, sdkconfig in enumerate((whole, bare)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "sdkconfig.h").write_text(sdkconfig, "ascii")
        includes = [f"-I{x}" for x in (folder, engine, IDF, PORT, DEVICE)]
        subprocess.run([HOST, *includes, tmp_path / "main.c", "-o", folder / "main"], check=True)
        said.append(subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout)
    assert said[0].startswith(f"{board}\n")
    assert said[0] == said[1]


def test_partitions_fit_and_are_those_that_the_port_looks_for() -> None:
    rows = []
    for line in (PROJECT / "partitions.csv").read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            name, kind, sub, offset, size = (word.strip() for word in line.rstrip(",").split(","))
            rows.append((name, kind, sub, int(offset, 0), int(size, 0)))
    end = 0x9000  # behind the bootloader and the table itself
    for name, kind, _, offset, size in rows:
        assert offset >= end, name
        assert (offset % 0x1000, size % 0x1000) == (0, 0), name
        assert kind != "app" or offset % 0x10000 == 0, name
        assert len(name) <= 16
        end = offset + size
    assert end <= 4 << 20
    c = (PORT / "hm_esp32_flash.c").read_text("ascii")
    kind, people, gate = re.search(r"TYPE = (\w+), PEOPLE = (\w+), GATE = (\w+)", c).groups()  # type: ignore[union-attr]
    assert {(k, s) for _, k, s, _, _ in rows if k not in ("app", "data")} == {(kind, people), (kind, gate)}
    assert next(size for name, *_, size in rows if name == "gate") >= 2 * 4096
    told = TABLE["esp32-cam"].people
    assert next(row[3:] for row in rows if row[0] == "people") == (told.origin, told.bytes)
    assert 'PARTITION_TABLE_CUSTOM_FILENAME="partitions.csv"' in (PROJECT / "sdkconfig.defaults").read_text("ascii")


VECTORS = r"""
#include "hm_esp32.h"
#include <stdio.h>
#include <stdlib.h>

/* key, first counter block, ciphertext: hexadecimal; the plain text goes to stdout. */
int main(int argc, char **argv)
{
    uint8_t parts[3][1024];
    size_t n[3] = {0, 0, 0};
    for (int i = 0; i < 3 && argc == 4; i++) {
        for (const char *at = argv[i + 1]; at[0] != 0 && at[1] != 0; at += 2) {
            const char both[3] = {at[0], at[1], 0};
            parts[i][n[i]++] = (uint8_t)strtoul(both, NULL, 16);
        }
    }
    if (n[0] != 32 || n[1] != 16 || !hm_port_decrypt(parts[0], parts[1], parts[2], n[2])) {
        return 1;
    }
    for (size_t i = 0; i < n[2]; i++) {
        printf("%02x", parts[2][i]);
    }
    return 0;
}
"""
# NIST SP 800-38A, F.5.6
SP_800_38A = (
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
)


@pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
@pytest.mark.parametrize("idf", [5, 6])
def test_decryption_gives_the_published_vector(tmp_path: Path, engine: Path, idf: int) -> None:
    (tmp_path / "main.c").write_text(VECTORS, "ascii")
    (tmp_path / "sdkconfig.h").write_text(kconfig.sdkconfig("esp32-cam"), "ascii")
    includes = [f"-I{x}" for x in (tmp_path, engine, IDF, PORT, DEVICE)]
    sources = [tmp_path / "main.c", PORT / "hm_esp32_cipher.c", IDF / "simulated_aes.c"]
    subprocess.run(
        [HOST, "-DESP_PLATFORM", f"-DIDF_MAJOR={idf}", *includes, *sources, "-o", tmp_path / "main"], check=True
    )

    def run(*words: str) -> str:
        return subprocess.run([tmp_path / "main", *words], capture_output=True, text=True, check=True).stdout

    *given, plain = SP_800_38A
    assert run(*given) == plain
    long = run(given[0], given[1], "00" * 1000)  # the counter goes on over more than one piece
    assert run(given[0], given[1], long) == "00" * 1000
    assert run(given[0], f"{int(given[1], 16) + 32:032x}", "00" * 488) == long[2 * 512 :]


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on PATH (Debian: cppcheck)")
@pytest.mark.parametrize("board", BOARDS)
def test_port_has_no_findings(tmp_path: Path, engine: Path, board: str) -> None:
    (tmp_path / "sdkconfig.h").write_text(kconfig.sdkconfig(board), "ascii")
    checks = ["--enable=warning,style,performance,portability", "--inconclusive", "--std=c11", "--quiet"]
    meant = ["missingIncludeSystem", "unusedStructMember", "*:*hm_engine.h", "toomanyconfigs"]
    words = [
        "cppcheck",
        "-DESP_PLATFORM",
        *checks,
        *(f"--suppress={m}" for m in meant),
        *(f"-I{x}" for x in (tmp_path, IDF, PORT, DEVICE, FIRMWARE, engine)),
    ]
    done = subprocess.run([*words, *map(str, SOURCES)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_table_of_boards_has_these_and_says_what_kconfig_says() -> None:
    rows = {b.name: b for b in TABLE.values() if b.build == "esp-idf"}
    assert sorted(rows) == BOARDS == list(esp32_boards())
    for name, row in rows.items():
        values = kconfig.macros(name)
        low = ", low is on" if "HYPER_MCU_LIGHT_ACTIVE_LOW" in values else ""
        assert row.light == f"GPIO{values['HYPER_MCU_LIGHT']}{low}"
        assert row.serial.startswith("the chip's own USB" if "HYPER_MCU_LINK_USB" in values else "UART0")
        assert row.core.lower().replace("-", "") == values["IDF_TARGET"].strip('"')
        assert "not built with ESP-IDF" in row.proven
