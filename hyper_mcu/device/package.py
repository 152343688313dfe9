"""The device's C as one folder that Arduino, PlatformIO, ESP-IDF, Zephyr and CMake take as it is: `export library`.

Its sources are those of firmware/, in the folders that they have there, under src/; its manifests those of
firmware/package. What no repository can hold belongs to a network and is made here: the engine, and for the examples a
person with random weights, who is nobody.
"""

from __future__ import annotations

from pathlib import Path

from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device.blob_c import array_of
from hyper_mcu.device.build import APPS, FIRMWARE
from hyper_mcu.device.engine import engine

PACKAGE = FIRMWARE / "package"
ESP32 = FIRMWARE / "ports" / "esp32"
ENGINE = "src/hm_engine.h"
NOBODY = ("examples/KnownAnswer/seeded_person.h", "samples/known_answer/src/seeded_person.h")
EXAMPLES = ("examples/", "samples/")  # whose files are a user's to change
SOURCES = (
    ("core", "*.h"),
    ("device", "*.[ch]"),
    ("apps", "*.h"),
    ("ports/esp32", "*.[ch]"),
    ("ports/psa", "*.h"),
)


def library(person: Person) -> dict[str, bytes]:
    """The files of the folder by their paths in it, for the network of a person, of whom it holds nothing."""
    nobody = seeded_person(person.qnet.spec).encode("ascii")
    return {**sources(), ENGINE: engine(person).encode("ascii"), **dict.fromkeys(NOBODY, nobody)}


def sources() -> dict[str, bytes]:
    """The same without what belongs to a network."""
    files = {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in _below(PACKAGE)}
    files["Kconfig"] = (ESP32 / "Kconfig").read_bytes()
    for folder, pattern in SOURCES:
        for path in sorted((FIRMWARE / folder).glob(pattern)):
            files[f"src/{folder}/{path.name}"] = path.read_bytes()
    return files


def seeded_person(spec: NetSpec) -> str:
    """The C of a person.bin with random weights."""
    return (
        f"/* A person.bin of {spec.id} with random weights: nobody, whose known answer a self-test compares. */\n"
        "#include <stdint.h>\n\n" + array_of("seeded_person", pack(seeded(spec), for_device=True))
    )


def esp32_project(board: str, app: str = "verify") -> dict[str, bytes]:
    """A project of ESP-IDF of an application for a board of ports/esp32/project/boards, with the library but for ENGINE
    and the examples in components/hyper_mcu, and there the applications. `idf.py build` builds it when the engine is
    there."""
    project = ESP32 / "project"
    boards = project / "boards"
    names = ("CMakeLists.txt", "partitions.csv", "main/CMakeLists.txt", "main/main.c")
    files = {name: (project / name).read_bytes() for name in names}
    defaults = [project / "sdkconfig.defaults", boards / f"{board}.defaults"]
    chosen = f"CONFIG_HYPER_MCU_APP_{app.upper()}=y\n".encode()
    files["sdkconfig.defaults"] = b"\n".join((*(path.read_bytes() for path in defaults), chosen))
    if (secure := boards / f"{board}.secure").is_file():
        files["sdkconfig.secure"] = secure.read_bytes()
    component = {name: data for name, data in sources().items() if not name.startswith(EXAMPLES)}
    component |= {f"src/apps/{name}/main.c": (FIRMWARE / "apps" / name / "main.c").read_bytes() for name in APPS}
    return files | {f"components/hyper_mcu/{name}": data for name, data in component.items()}


def esp32_boards() -> tuple[str, ...]:
    """The boards that esp32_project knows."""
    return tuple(sorted(path.stem for path in (ESP32 / "project" / "boards").glob("*.defaults")))


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
