"""The boards: one frozen table, from which CMake's presets, writers and README's list come.

How each row was proven stands in it. Pins are those of the boards' manuals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.chips import (
    F405,
    F405_QEMU,
    F411CE,
    F411RE,
    F446,
    F746,
    H743,
    KIB,
    L476,
    MPS2,
    U575,
    Chip,
    Region,
)

LINK_RATE = 115_200
PAPER_SLOT = 28 * KIB  # of a person of paper@1, in whole units where those are small


@dataclass(frozen=True)
class Board:
    """A board that people can have, or an emulated one.

    name: as the command takes it. build: cmake, esp-idf or host. chip: None where another build system knows the
    memory. people: the partition of theirs, at 0 where its place is not asked. serial: which line the link is on, and
    where. defines: its pins. light: what hm_port_light drives. camera: "" where an application has to bring
    hm_port_frame. emulator: QEMU's words, none for real ones. family: as the writers and bridges of `flash` and `find`
    have it. proven: how.
    """

    name: str
    title: str
    build: str
    chip: Chip | None
    people: Region
    core: str
    serial: str
    light: str
    proven: str
    defines: tuple[str, ...] = ()
    camera: str = ""
    emulator: tuple[str, ...] = ()
    family: str = ""

    @property
    def is_emulated(self) -> bool:
        """Whether it is a program on this machine."""
        return bool(self.emulator) or self.build == "host"


FOR_SIZE = "built for size, not run: no QEMU has its clocks, USART and flash"


def _pin(name: str) -> int:
    """A pin as the sources count them: 16 times its port, A being 0, and its number.

    >>> _pin("PB3")
    19
    """
    return 16 * (ord(name[1]) - ord("A")) + int(name[2:])


def _stm32(
    name: str, title: str, chip: Chip, usart: int, pins: str, where: str, light: str, proven: str = FOR_SIZE
) -> Board:
    """pins: TX and RX. light: its pin, with a bar before it where low is on."""
    tx, rx = pins.split()
    irq = 61 if chip is U575 else 36 + usart  # of USART1, 2, 3
    defines = (
        f"HM_USART={usart}",
        f"HM_USART_PINS={_pin(tx)},{_pin(rx)}",
        f"HM_IRQ={irq}",
        f"HM_LIGHT_PIN={_pin(light.lstrip('/'))}",
        f"HM_LIGHT_LOW={int(light.startswith('/'))}",
        f"HM_BAUD={LINK_RATE}",
    )
    low = ", low is on" if light.startswith("/") else ""
    serial = f"USART{usart}, TX {tx}, RX {rx}, {where}"
    shown = light.lstrip("/") + low
    return Board(name, title, "cmake", chip, chip.people, chip.core, serial, shown, proven, defines, family="stm32")


NO_IDF = (
    "not built with ESP-IDF: its C by gcc for the host, RV32 and Xtensa, "
    "against declarations of ours of the IDF's calls"
)
HOST_PEOPLE = Region(0, 64 * 4 * KIB, 4 * KIB)  # firmware/ports/host/start.c, unless --units and --unit say another
ESP32_PEOPLE = Region(0x210000, 1024 * KIB, 4 * KIB)  # firmware/ports/esp32/project/partitions.csv
ST_LINK = "on the ST-Link's USB"
ADAPTER = "on pins, for a USB serial adapter of 3.3 V"
QEMU_F405 = replace(
    _stm32("netduinoplus2-qemu", "QEMU netduinoplus2", F405_QEMU, 1, "PA9 PA10", "QEMU's first -serial", "PA10"),
    light="none",
    proven="run on QEMU netduinoplus2: flash of the partitions in RAM, kept in a file; random numbers of the host",
    emulator=("qemu-system-arm", "-M", "netduinoplus2"),
    family="",
)

BOARDS = {
    b.name: b
    for b in (
        Board(
            "host",
            "a process of this machine",
            "host",
            None,
            HOST_PEOPLE,
            "this machine's",
            "pseudo-terminal or TCP",
            "none",
            "run on Linux",
        ),
        Board(
            "m4",
            "emulated Cortex-M4, QEMU mps2-an386",
            "cmake",
            MPS2,
            MPS2.people,
            MPS2.core,
            "semihosting, QEMU's stdin and stdout",
            "none",
            "run on QEMU mps2-an386: flash in RAM, kept in a file; random numbers of the host",
            emulator=("qemu-system-arm", "-M", "mps2-an386"),
        ),
        QEMU_F405,
        _stm32("netduinoplus2", "Netduino Plus 2", F405, 2, "PA2 PA3", ADAPTER, "PA10"),
        _stm32("blackpill-f411ce", "WeAct Black Pill", F411CE, 1, "PA9 PA10", ADAPTER, "/PC13"),
        _stm32("nucleo-f411re", "ST Nucleo-F411RE", F411RE, 2, "PA2 PA3", ST_LINK, "PA5"),
        _stm32("nucleo-f446re", "ST Nucleo-F446RE", F446, 2, "PA2 PA3", ST_LINK, "PA5"),
        _stm32("nucleo-f746zg", "ST Nucleo-F746ZG", F746, 3, "PD8 PD9", ST_LINK, "PB0"),
        _stm32("nucleo-h743zi2", "ST Nucleo-H743ZI2", H743, 3, "PD8 PD9", ST_LINK, "PB0"),
        _stm32("nucleo-l476rg", "ST Nucleo-L476RG", L476, 2, "PA2 PA3", ST_LINK, "PA5"),
        _stm32("nucleo-u575zi-q", "ST Nucleo-U575ZI-Q", U575, 1, "PA9 PA10", ST_LINK, "PC7"),
        Board(
            "esp32-cam",
            "AI-Thinker ESP32-CAM",
            "esp-idf",
            None,
            ESP32_PEOPLE,
            "ESP32",
            f"UART0, U0T and U0R, {ADAPTER}",
            "GPIO33, low is on",
            NO_IDF,
            camera="OV2640",
            family="esp32",
        ),
        Board(
            "esp32-s3-eye",
            "Espressif ESP32-S3-EYE",
            "esp-idf",
            None,
            ESP32_PEOPLE,
            "ESP32-S3",
            "the chip's own USB",
            "GPIO3",
            NO_IDF,
            camera="OV2640",
            family="esp32",
        ),
    )
}


def board_named(name: str) -> Board:
    """The row of BOARDS; raises UserError for a name that is not there."""
    if name not in BOARDS:
        raise UserError("--board", "unknown", "one of " + ", ".join(BOARDS), name or "nothing")
    return BOARDS[name]


def places(board: Board, slot_bytes: int = PAPER_SLOT) -> int:
    """How many people fit whose slots have so many bytes: two slots each, of whole units."""
    units = -(-slot_bytes // board.people.unit)
    return board.people.bytes // board.people.unit // units // 2
