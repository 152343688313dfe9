"""The chips of the boards: their memory maps, and what their firmware is built of.

The maps are those of the reference manuals that the sources of firmware/ports name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

KIB = 1 << 10


@dataclass(frozen=True)
class Region:
    """A part of an address space; unit: what is erased at once, 0: not asked."""

    origin: int
    bytes: int
    unit: int = 0

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.origin + self.bytes


@dataclass(frozen=True)
class Chip:
    """A microcontroller that firmware/ports/cortex_m and stm32 are built for.

    flags: of gcc for its core. defines: which family of registers it has. vectors, code: the program; people, log and
    key: the partitions; word: bytes of flash that are programmed at once. sources: of firmware/ports, by which they
    differ. openocd, pyocd: what those programs call it. in_one_piece: whether nothing of the partitions lies within a
    binary image, so that one file may be written over all of it. torn_faults: whether reading a word of flash that a
    power cut tore is a fault of the bus, which start.c then passes over.
    """

    name: str
    core: str
    flags: tuple[str, ...]
    defines: tuple[str, ...]
    flash: Region
    ram: Region
    vectors: Region
    code: Region
    people: Region
    log: Region
    key: Region
    word: int
    sources: tuple[str, ...]
    openocd: str = ""
    pyocd: str = ""
    in_one_piece: bool = True
    torn_faults: bool = False


def _cortex(name: str) -> tuple[str, ...]:
    """For the soft-float ABI: no floating point is used."""
    return ("-mthumb", f"-mcpu={name}", "-mfloat-abi=soft")


M4, M7, M33 = _cortex("cortex-m4"), _cortex("cortex-m7"), _cortex("cortex-m33")
RNG, NO_RNG = "stm32/random_rng.c", "stm32/random_key.c"
FLASH = 0x08000000


def _stm32f4(name: str, flash_kib: int, ram_kib: int, people: int, random: str, pyocd: str) -> Chip:
    """Four sectors of 16 KB, one of 64, the rest of 128: gate and key have small ones, between vectors and code."""
    return Chip(
        name=name,
        core="Cortex-M4",
        flags=M4,
        defines=("HM_STM32_F4", f"HM_{name[:9]}"),
        flash=Region(FLASH, flash_kib * KIB),
        ram=Region(0x20000000, ram_kib * KIB),
        vectors=Region(FLASH, 16 * KIB),
        log=Region(FLASH + 16 * KIB, 32 * KIB, 16 * KIB),
        key=Region(FLASH + 48 * KIB, 16 * KIB, 16 * KIB),
        code=Region(FLASH + 64 * KIB, 192 * KIB),
        people=Region(FLASH + 256 * KIB, people * 128 * KIB, 128 * KIB),
        word=4,
        sources=("stm32/clocks_f4.c", "stm32/flash_f4.c", random),
        openocd="target/stm32f4x.cfg",
        pyocd=pyocd,
        in_one_piece=False,
    )


F405 = _stm32f4("STM32F405RG", 1024, 128, 6, RNG, "stm32f405rgtx")
F411RE = _stm32f4("STM32F411RE", 512, 128, 2, NO_RNG, "stm32f411retx")
F411CE = _stm32f4("STM32F411CE", 512, 128, 2, NO_RNG, "stm32f411cetx")
F446 = _stm32f4("STM32F446RE", 512, 128, 2, NO_RNG, "stm32f446retx")
F746 = Chip(  # four sectors of 32 KB, one of 128, three of 256
    name="STM32F746ZG",
    core="Cortex-M7",
    flags=M7,
    defines=("HM_STM32_F7", "HM_STM32F746"),
    flash=Region(FLASH, 1024 * KIB),
    ram=Region(0x20000000, 320 * KIB),
    vectors=Region(FLASH, 32 * KIB),
    log=Region(FLASH + 32 * KIB, 64 * KIB, 32 * KIB),
    key=Region(FLASH + 96 * KIB, 32 * KIB, 32 * KIB),
    code=Region(FLASH + 128 * KIB, 128 * KIB),
    people=Region(FLASH + 256 * KIB, 512 * KIB, 256 * KIB),
    word=4,
    sources=("stm32/clocks_f4.c", "stm32/flash_f4.c", RNG),
    openocd="target/stm32f7x.cfg",
    pyocd="stm32f746zgtx",
    in_one_piece=False,
)
H743 = Chip(  # sixteen sectors of 128 KB; RAM: that of the core alone, which needs no cache
    name="STM32H743ZI",
    core="Cortex-M7",
    flags=M7,
    defines=("HM_STM32_H7", "HM_STM32H743"),
    flash=Region(FLASH, 2048 * KIB),
    ram=Region(0x20000000, 128 * KIB),
    vectors=Region(FLASH, KIB),
    code=Region(FLASH + KIB, 255 * KIB),
    key=Region(FLASH + 256 * KIB, 128 * KIB, 128 * KIB),
    log=Region(FLASH + 384 * KIB, 256 * KIB, 128 * KIB),
    people=Region(FLASH + 768 * KIB, 1280 * KIB, 128 * KIB),
    word=32,
    sources=("stm32/clocks_h7.c", "stm32/flash_h7.c", RNG),
    openocd="target/stm32h7x.cfg",
    pyocd="stm32h743zitx",
    torn_faults=True,
)
L476 = Chip(
    name="STM32L476RG",
    core="Cortex-M4",
    flags=M4,
    defines=("HM_STM32_L4", "HM_STM32L476", "HM_NMI"),
    flash=Region(FLASH, 1024 * KIB),
    ram=Region(0x20000000, 96 * KIB),
    vectors=Region(FLASH, KIB),
    code=Region(FLASH + KIB, 191 * KIB),
    key=Region(FLASH + 192 * KIB, 2 * KIB, 2 * KIB),
    log=Region(FLASH + 194 * KIB, 4 * KIB, 2 * KIB),
    people=Region(FLASH + 256 * KIB, 768 * KIB, 2 * KIB),
    word=8,
    sources=("stm32/clocks_l4.c", "stm32/flash_l4.c", RNG),
    openocd="target/stm32l4x.cfg",
    pyocd="stm32l476rgtx",
)
U575 = Chip(
    name="STM32U575ZI",
    core="Cortex-M33",
    flags=M33,
    defines=("HM_STM32_U5", "HM_STM32U575", "HM_NMI"),
    flash=Region(FLASH, 2048 * KIB),
    ram=Region(0x20000000, 192 * KIB),
    vectors=Region(FLASH, KIB),
    code=Region(FLASH + KIB, 255 * KIB),
    key=Region(FLASH + 256 * KIB, 8 * KIB, 8 * KIB),
    log=Region(FLASH + 264 * KIB, 16 * KIB, 8 * KIB),
    people=Region(FLASH + 512 * KIB, 1536 * KIB, 8 * KIB),
    word=16,
    sources=("stm32/clocks_u5.c", "stm32/flash_l4.c", RNG),
    openocd="target/stm32u5x.cfg",
    pyocd="stm32u575zitx",
)
# QEMU's STM32F405: 192 KB of RAM in one piece, of which 64 are the program's; the rest is its flash, kept in a file.
F405_QEMU = replace(
    F405,
    ram=Region(0x20000000, 64 * KIB),
    people=Region(0x20010000, 112 * KIB, 4 * KIB),
    log=Region(0x2002C000, 8 * KIB, 4 * KIB),
    key=Region(0x2002E000, 4 * KIB, 4 * KIB),
    sources=("stm32/clocks_qemu.c", "cortex_m/flash_file.c"),
    openocd="",
    pyocd="",
)
MPS2 = Chip(
    name="AN386 on MPS2",
    core="Cortex-M4",
    flags=M4,
    defines=(),
    flash=Region(0, 4096 * KIB),
    ram=Region(0x20000000, 1024 * KIB),
    vectors=Region(0, KIB),
    code=Region(KIB, 1023 * KIB),
    people=Region(0x20100000, 512 * KIB, 4 * KIB),
    log=Region(0x20180000, 8 * KIB, 4 * KIB),
    key=Region(0x20182000, 4 * KIB, 4 * KIB),
    word=4,
    sources=("cortex_m/flash_file.c",),
)
