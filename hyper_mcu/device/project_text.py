"""The texts of a firmware project: CMakeLists.txt or Makefile, people as C, the page that says what it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from hyper_mcu import __version__
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device.blob_c import array_of
from hyper_mcu.device.boards import Board
from hyper_mcu.device.build import APPS, FIRMWARE, Build, build_of
from hyper_mcu.device.emulated import BY_HAND, by_hand

STEPS = {  # of a build, in the project's folder
    "cmake": (("cmake", "-B", "build"), ("cmake", "--build", "build")),
    "make": (("make",),),
    "esp-idf": (("idf.py", "build"),),
}
BUILDS = {name: " && ".join(map(shlex.join, steps)) for name, steps in STEPS.items()}


@dataclass(frozen=True)
class Parts:
    """sources: compiled, relative to firmware/; copied: these and what they include."""

    sources: tuple[str, ...]
    copied: tuple[str, ...]
    defines: tuple[str, ...]
    made: Build | None


def parts(board: Board, app: str) -> Parts:
    """The sources of an application on a board of CMake or of this machine."""
    device = found("device", "*.c")
    made = None if board.build == "host" else build_of(board)
    port = made.sources if made else found("ports/host", "*.c")
    folders = {str(Path(s).parent.as_posix()) for s in port} | {"device", "core", "apps"}
    headers = [h for folder in sorted(folders) for h in found(folder, "*.h")]
    script = (made.script,) if made else ()
    sources = (*device, *port, f"apps/{app}/main.c")
    defines = (*(made.defines if made else ()), *APPS[app], "HM_FACTORY=1")
    return Parts(sources, tuple(dict.fromkeys((*sources, *headers, *script))), defines, made)


def found(folder: str, pattern: str) -> tuple[str, ...]:
    """The files of a folder of firmware/, by their paths in it."""
    return tuple(sorted(p.relative_to(FIRMWARE).as_posix() for p in (FIRMWARE / folder).glob(pattern)))


def people_c(people: Sequence[Person]) -> str:
    """The C of people as data: a blob each, and the table of them."""
    arrays = [array_of(f"person_{p.name}", pack(p, for_device=True)) for p in people]
    rows = "".join(f"    {{(const uint8_t *)person_{p.name}, sizeof person_{p.name}}},\n" for p in people)
    rows = rows or "    {NULL, 0},\n"
    return (
        f"/* People that come with this program: biometric data. Made by hyper-mcu {__version__}. */\n"
        '#include "hm_factory.h"\n\n' + "\n".join(arrays) + ("\n" if arrays else "")
        + f"const hm_built_in hm_people[] = {{\n{rows}}};\n"
        + f"const uint32_t hm_people_count = {len(people)};\n"
    )  # fmt: skip


CMAKE = Template("""\
# $title: $command
cmake_minimum_required(VERSION 3.16)
${toolchain}if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE MinSizeRel CACHE STRING "" FORCE)
endif()
project($app LANGUAGES C)

add_executable($app
$sources
    people.c)
target_include_directories($app PRIVATE firmware/device engine$folders)
target_compile_features($app PRIVATE c_std_11)
target_compile_options($app PRIVATE $options)
target_compile_definitions($app PRIVATE
$defines)
# the engine is what takes the time, and all else is small
set_source_files_properties(firmware/device/hm_engine.c PROPERTIES COMPILE_OPTIONS -O2)
${linking}""")

CMAKE_CORTEX = Template("""\
target_link_options($app PRIVATE
    $flags -nostdlib -nostartfiles LINKER:--gc-sections
    -T $${CMAKE_CURRENT_SOURCE_DIR}/firmware/$script
$memory)
target_link_libraries($app PRIVATE gcc)
set_target_properties($app PROPERTIES SUFFIX .elf)
add_custom_command(TARGET $app POST_BUILD
${binary}    COMMAND arm-none-eabi-size $$<TARGET_FILE:$app>
    VERBATIM)
""")

COPY = "arm-none-eabi-objcopy -O binary --gap-fill 0xFF"
TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
"""

MAKE = Template("""\
# $title: make
CC = $compiler
CFLAGS = -std=c11 -Os $options
CPPFLAGS = -Ifirmware/device -Iengine$folders \\
$defines
LDFLAGS = $linking
SOURCES = \\
$sources
    people.c
OBJECTS = $$(SOURCES:%.c=build/%.o)

build/$program: $$(OBJECTS)
	$$(CC) $flags $$(LDFLAGS) $$(OBJECTS) $libraries -o $$@
$after
build/%.o: %.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(CPPFLAGS) -MMD -c $$< -o $$@

# the engine is what takes the time, and all else is small
build/firmware/device/hm_engine.o: CFLAGS += -O2

clean:
	rm -rf build

.PHONY: clean
-include $$(OBJECTS:.o=.d)
""")


def in_one_piece(board: Board) -> bool:
    """Whether a binary image has no partition in it: written where it does, it would erase key and people."""
    return board.chip is not None and board.chip.in_one_piece


def cmake(board: Board, made: Parts, app: str) -> str:
    """The CMakeLists.txt."""
    cortex = made.made
    options = ["-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections"]
    linking = ""
    if cortex:
        options = [*cortex.flags, "-ffreestanding", *options, "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]
        memory = "\n".join(f"    LINKER:--defsym={name}={value:#x}" for name, value in cortex.memory.items())
        command = f"    COMMAND {COPY} $<TARGET_FILE:{app}> {app}.bin\n" if in_one_piece(board) else ""
        linking = CMAKE_CORTEX.substitute(
            app=app, flags=" ".join(cortex.flags), script=cortex.script, memory=memory, binary=command
        )
    return CMAKE.substitute(
        title=f"{board.title}, {app}",
        command=BUILDS["cmake"],
        toolchain=TOOLCHAIN if cortex else "",
        app=app,
        sources="\n".join(f"    firmware/{s}" for s in made.sources),
        folders="" if cortex else " firmware/ports/host",
        options=" ".join(options),
        defines="\n".join("    [[" + d + "]]" for d in made.defines),
        linking=linking,
    )


def make(board: Board, made: Parts, app: str) -> str:
    """The Makefile."""
    cortex = made.made
    options = ["-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections"]
    linking, after, libraries, program = "-Wl,--gc-sections", "", "", app
    if cortex:
        options = [*cortex.flags, "-ffreestanding", *options, "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]
        memory = [f"    -Wl,--defsym={name}={value:#x}" for name, value in cortex.memory.items()]
        script = f"-nostdlib -nostartfiles -Wl,--gc-sections -T firmware/{cortex.script} \\\n"
        linking = script + " \\\n".join(memory)
        program, libraries = f"{app}.elf", "-lgcc"
        after = f"\t{COPY} $@ build/{app}.bin\n" if in_one_piece(board) else ""
        after += "\tarm-none-eabi-size $@\n"
    return MAKE.substitute(
        title=f"{board.title}, {app}",
        compiler="arm-none-eabi-gcc" if cortex else "cc",
        flags=" ".join(cortex.flags) if cortex else "",
        options=" ".join(options),
        folders="" if cortex else " -Ifirmware/ports/host",
        defines=" \\\n".join(f"    '-D{d}'" for d in made.defines),
        linking=linking,
        sources="\n".join(f"    firmware/{s} \\" for s in made.sources),
        program=program,
        libraries=libraries,
        after=after,
    )


def readme(board: Board, app: str, build: str, program: str, people: Sequence[Person]) -> str:
    """What the folder is, and the next steps. program: what the build makes, relative to the folder."""
    run = (
        "`hyper-mcu flash --project .` writes it to the board, and says what that takes; `--dry-run` prints the "
        f"commands. The line: {board.serial}. Light: {board.light}."
    )
    if started := by_hand(board, program):
        run = (
            f"It runs on this machine, and keeps its flash in files of the current folder:\n\n```sh\n{started}\n```\n\n"
            f"Its line is `--port {BY_HAND}` then, for one command at a time."
        )
    who = ", ".join(p.name for p in people)
    inside = (
        f"People that come with it: {who}. A device on which nobody ever was stores them as soon as it has a key "
        "(`hyper-mcu key new`, `hyper-mcu key set`), and from then on they are data like everybody who is sent. "
        "`people.c` is biometric data: keep it as you would keep a photo."
        if people
        else "Nobody comes with it: `hyper-mcu key new`, `hyper-mcu key set`, then `hyper-mcu send`."
    )
    source = "components/hyper_mcu/src" if build == "esp-idf" else "firmware"
    return (
        f"# {board.title}: {app}\n\n"
        f"Made by hyper-mcu {__version__}; it needs nothing of it to build. In this folder:\n\n"
        f"```sh\n{BUILDS[build]}\n```\n\n"
        f"{run}\n\n{inside}\n\n"
        f"`{source}/` is hyper-mcu's C, and `hm_engine.h` the network's: for people of its architecture alone.\n"
    )
