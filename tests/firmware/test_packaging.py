"""The library folder as Arduino, PlatformIO, ESP-IDF, Zephyr and CMake read it: what its manifests say is there, and
all of it compiles. CMake alone of them runs here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest

sys.path.insert(0, str(Path(__file__).parent / "idf"))
import kconfig
from board import IDF, KEY, SANITISED, Board, frame, owner, scene, seen

from hyper_mcu import __version__
from hyper_mcu.codegen.toolchain import C_WARNINGS, WARNINGS
from hyper_mcu.device.build import APPS
from hyper_mcu.device.package import esp32_boards, esp32_project, library
from hyper_mcu.device.seal import seal

HOST = next((c for c in ("gcc", "clang", "cc") if shutil.which(c)), "")
CXX = next((c for c in ("g++", "clang++", "c++") if shutil.which(c)), "")
ROOT = Path(__file__).parents[2]
needs_c = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
needs_cxx = pytest.mark.skipif(not CXX, reason="no g++, clang++ or c++ on PATH")
needs_cmake = pytest.mark.skipif(
    not shutil.which("cmake") or not shutil.which("ninja"), reason="no cmake or no ninja on PATH"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library folder."""
    out = tmp_path_factory.mktemp("library")
    for name, data in library(owner()).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    return out


def properties(folder: Path) -> dict[str, str]:
    """library.properties."""
    return dict(line.split("=", 1) for line in (folder / "library.properties").read_text("ascii").splitlines())


def yaml(path: Path) -> dict[str, str]:
    """The scalars of a YAML file of ours, by the keys that lead to them; items of lists by their numbers."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in path.read_text("ascii").splitlines():
        depth, text = len(line) - len(line.lstrip()), line.strip()
        while stack and stack[-1][0] >= depth + (not text.startswith("- ")):
            stack.pop()
        if text.startswith("- "):
            parent = "/".join(key for at, key in stack)
            found[f"{parent}/{sum(k.startswith(parent + '/') for k in found)}"] = text[2:]
            continue
        key, _, value = text.partition(":")
        stack = [(at, k) for at, k in stack if at < depth] + [(depth, key)]
        if value.strip():
            found["/".join(k for _, k in stack)] = value.strip().strip('"')
    return found


def run(*words: object, cwd: Path | None = None) -> str:
    """stdout of a program that ends well."""
    done = subprocess.run([str(w) for w in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_manifests_and_firmware_have_the_packages_version(folder: Path) -> None:
    said = {
        json.loads((folder / "library.json").read_text())["version"],
        properties(folder)["version"],
        yaml(folder / "idf_component.yml")["version"],
        re.search(r'HM_FIRMWARE_VERSION "(.*)"', (folder / "src/device/hm_device.h").read_text("utf-8"))[1],  # type: ignore[index]
    }
    assert said == {__version__}


def test_licence_is_the_repositorys(folder: Path) -> None:
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_platformios_manifest_names_what_is_there(folder: Path) -> None:
    """PlatformIO's schema: name without spaces, semantic version, headers, examples of name, base and files."""
    manifest = json.loads((folder / "library.json").read_text())
    assert {"name", "version", "description", "keywords"} <= manifest.keys()
    assert re.fullmatch(r"[\w.-]{1,50}", manifest["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert len(manifest["description"]) <= 1000
    assert (folder / "src" / manifest["headers"]).is_file()
    for example in manifest["examples"]:
        there = {p.name for p in (folder / example["base"]).iterdir()}
        assert there == set(example["files"])
    for flag in manifest["build"]["flags"]:
        assert (folder / flag.removeprefix("-I")).is_dir()
    patterns = [p.removeprefix("+<").removesuffix(">") for p in manifest["build"]["srcFilter"]]
    sources = [p.relative_to(folder / "src").as_posix() for p in (folder / "src").rglob("*.c")]
    assert [s for s in sources if not any(fnmatch(s, p) for p in patterns)] == []
    assert all(any(fnmatch(s, p) for s in sources) for p in patterns)


def test_arduinos_manifest_names_what_is_there(folder: Path) -> None:
    """Arduino's library specification, 1.5 format."""
    said = properties(folder)
    assert {
        "name",
        "version",
        "author",
        "maintainer",
        "sentence",
        "paragraph",
        "category",
        "url",
        "architectures",
    } <= set(said)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", said["name"])
    assert said["category"] == "Data Processing"  # one of its nine
    assert (folder / "src" / said["includes"]).is_file()
    for sketch in (folder / "examples").iterdir():
        assert (sketch / f"{sketch.name}.ino").is_file()


def test_espressifs_manifest_has_what_its_registry_asks_for(folder: Path) -> None:
    said = yaml(folder / "idf_component.yml")
    assert {"version", "description", "license"} <= said.keys()
    assert said["dependencies/idf"] == ">=5.3"
    assert "dependencies/espressif/esp32-camera" in said
    assert [v for k, v in said.items() if k.startswith("targets/")] == ["esp32", "esp32s3"]
    assert {f"esp32{s}" for s in ("", "s3")} == set(kconfig.CHIPS)


def test_zephyrs_module_names_what_is_there(folder: Path) -> None:
    said = yaml(folder / "zephyr" / "module.yml")
    assert (folder / said["build/cmake"] / "CMakeLists.txt").is_file()
    assert (folder / said["build/kconfig"]).is_file()
    assert [p.name for p in (folder / said["samples/0"]).iterdir()] == ["known_answer"]


def test_every_include_is_found_with_src_alone_in_the_path(folder: Path) -> None:
    for path in [*(folder / "src").rglob("*.[ch]")]:
        for name in re.findall(r'^#include "(.*?)"', path.read_text("utf-8"), re.MULTILINE):
            of_idf = (IDF / name).is_file() or name == "sdkconfig.h"
            assert of_idf or (path.parent / name).is_file() or (folder / "src" / name).is_file(), f"{path.name}: {name}"


@needs_c
@pytest.mark.parametrize("chip", ["", "esp32-cam", "esp32-s3-eye"])
def test_all_that_arduino_compiles_compiles(folder: Path, tmp_path: Path, chip: str) -> None:
    """Every source below src/, with src/ in the path: for a board that is no ESP32, and for two that are."""
    flags = ["-std=c11", *WARNINGS, *C_WARNINGS, f"-I{folder / 'src'}"]
    flags += [] if chip else ["-Wno-pedantic"]  # a file of another board is an empty one
    if chip:
        text = "".join(x for x in kconfig.sdkconfig(chip).splitlines(keepends=True) if "CONFIG_HYPER_MCU" not in x)
        (tmp_path / "sdkconfig.h").write_text(text, "ascii")
        flags += ["-DESP_PLATFORM", f"-I{IDF}", f"-I{tmp_path}"]
    sources = sorted((folder / "src").rglob("*.c"))
    run(HOST, *flags, "-c", *sources, cwd=tmp_path)
    assert sorted(path.stem for path in tmp_path.glob("*.o")) == sorted(path.stem for path in sources)


ARDUINO = r"""
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <stddef.h>

struct Line {
    void begin(long) {}
    void print(const char *text) { printf("%s", text); }
    void println(unsigned long number) { printf("%lu\n", number); exit(0); }
};
static Line Serial;
static inline unsigned long millis() { return 0; }
static inline void delay(unsigned long) {}
"""


def objects(folder: Path, sources: list[Path], out: Path, *flags: str) -> list[Path]:
    """The library's C compiled."""
    out.mkdir()
    run(HOST, "-std=gnu11", *SANITISED, *flags, f"-I{folder / 'src'}", "-c", *sources, cwd=out)
    return [out / f"{s.stem}.o" for s in sources]


@needs_c
@needs_cxx
def test_the_known_answer_sketch_runs(folder: Path, tmp_path: Path) -> None:
    sketch = folder / "examples" / "KnownAnswer" / "KnownAnswer.ino"
    main = "\nint main() { for (setup();; loop()) {} }\n"
    (tmp_path / "sketch.cpp").write_text(ARDUINO + sketch.read_text("ascii") + main, "ascii")
    library = objects(folder, [folder / "src" / "device" / "hm_engine.c"], tmp_path / "built")
    words = ["-std=c++14", "-Wall", "-Wextra", "-Werror", *SANITISED, f"-I{folder / 'src'}", f"-I{sketch.parent}"]
    run(CXX, *words, tmp_path / "sketch.cpp", *library, "-o", tmp_path / "sketch")
    assert run(tmp_path / "sketch") == "known answer right, ms: 0\n"


@needs_c
@needs_cxx
@pytest.mark.skipif(sys.platform != "linux", reason="the simulation is for Linux")
def test_the_door_sketch_opens_to_its_owner(folder: Path, tmp_path: Path) -> None:
    """ESP-IDF calls simulated, as in test_esp32_application.py."""
    text = "".join(x for x in kconfig.sdkconfig("esp32-cam").splitlines(keepends=True) if "CONFIG_HYPER_MCU" not in x)
    (tmp_path / "sdkconfig.h").write_text(text + "#define CONFIG_ARDUINO_LOOP_STACK_SIZE 8192\n", "ascii")
    flags = ["-DESP_PLATFORM", "-DIDF_SIMULATED", f"-I{IDF}", f"-I{tmp_path}"]
    sources = [*(folder / "src").rglob("*.c"), *IDF.glob("simulated*.c")]
    library = objects(folder, sources, tmp_path / "built", *flags)
    sketch = (folder / "examples" / "Esp32CamDoor" / "Esp32CamDoor.ino").read_text("ascii")
    main = '\nextern "C" void app_main(void);\nvoid app_main(void) { for (setup();; loop()) {} }\n'
    (tmp_path / "sketch.cpp").write_text(sketch + main, "ascii")
    words = ["-std=c++14", "-Wall", "-Wextra", *SANITISED, *flags, f"-I{folder / 'src'}"]
    run(CXX, *words, tmp_path / "sketch.cpp", *library, "-o", tmp_path / "door")
    board = Board(tmp_path / "door", tmp_path / "board")
    with board.running() as device:
        device.set_key(KEY)
        device.load(seal(owner(), KEY, 1))
        assert device.verify(seen(scene(0)), "ada").match
    board.show(frame(0))
    with board.running():
        assert board.press(lambda: "0" in board.levels(33))


@needs_c
def test_zephyrs_sample_runs_with_what_needs_no_port(folder: Path, tmp_path: Path) -> None:
    """zephyr/CMakeLists.txt's list without CONFIG_HYPER_MCU_DEVICE, linked whole as Zephyr does; printk is ours."""
    (tmp_path / "zephyr" / "sys").mkdir(parents=True)
    (tmp_path / "zephyr" / "sys" / "printk.h").write_text("#include <stdio.h>\n#define printk printf\n")
    text = (folder / "zephyr" / "CMakeLists.txt").read_text("ascii")
    alone = re.search(r"set\(alone\n(.*?)\)", text, re.DOTALL)[1]  # type: ignore[index]
    sources = [folder / "src" / "device" / Path(name).name for name in re.findall(r'"(.*?)"', alone)]
    sample = folder / "samples" / "known_answer" / "src" / "main.c"
    flags = [*SANITISED, f"-I{folder / 'src'}", f"-I{folder / 'src' / 'device'}", f"-I{tmp_path}"]
    run(HOST, *flags, sample, *sources, "-o", tmp_path / "sample")
    assert run(tmp_path / "sample") == "known answer right\n"


IDF_CMAKE = """
cmake_minimum_required(VERSION 3.16)
project(stub LANGUAGES C)
set(ESP_PLATFORM 1)
function(idf_component_register)
  cmake_parse_arguments(given "" "" "SRCS;INCLUDE_DIRS;PRIV_REQUIRES" ${ARGN})
  foreach(source IN LISTS given_SRCS)
    message("source ${source}")
  endforeach()
  foreach(folder IN LISTS given_INCLUDE_DIRS)
    message("folder ${CMAKE_CURRENT_LIST_DIR}/${folder}")
  endforeach()
  message("needs ${given_PRIV_REQUIRES}")
endfunction()
function(target_compile_definitions target visible)
  message("${visible} ${ARGN}")
endfunction()
set(COMPONENT_LIB library)
include(LIBRARY/CMakeLists.txt)
"""


@needs_cmake
def test_esp_idfs_cmake_gives_every_source_and_asks_for_what_the_port_includes(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(IDF_CMAKE.replace("LIBRARY", str(folder)))
    done = subprocess.run(["cmake", "-G", "Ninja", "-B", "b"], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = [line.split(" ", 1) for line in done.stderr.splitlines() if " " in line]
    sources = {Path(v) for k, v in said if k == "source"}
    assert sources == set((folder / "src").rglob("*.c"))
    assert all(Path(v).is_dir() for k, v in said if k == "folder")
    needs = set(next(v for k, v in said if k == "needs").split(";"))
    of = {  # the component that brings a header
        "bootloader_random.h": "bootloader_support",
        "driver/gpio.h": "esp_driver_gpio",
        "driver/uart.h": "esp_driver_uart",
        "driver/usb_serial_jtag.h": "esp_driver_usb_serial_jtag",
        "esp_cpu.h": "esp_hw_support",
        "esp_random.h": "esp_hw_support",
        "esp_partition.h": "esp_partition",
        "esp_timer.h": "esp_timer",
        "mbedtls/aes.h": "mbedtls",
        "psa/crypto.h": "mbedtls",
        "nvs.h": "nvs_flash",
        "nvs_flash.h": "nvs_flash",
    }
    always = {"sdkconfig.h", "esp_log.h", "esp_idf_version.h", "freertos/FreeRTOS.h", "freertos/task.h", "esp_camera.h"}
    port = "".join(p.read_text("ascii") for p in (folder / "src/ports").glob("*/*.[ch]"))
    asked = {n for n in re.findall(r'#include "(.*?)"', port) if "hm_" not in n}
    assert asked - always == of.keys()
    assert needs == set(of.values())


@needs_cmake
@pytest.mark.parametrize("app", APPS)
def test_esp_idfs_cmake_gives_an_application_its_macros(folder: Path, tmp_path: Path, app: str) -> None:
    (tmp_path / "CMakeLists.txt").write_text(IDF_CMAKE.replace("LIBRARY", str(folder)))
    words = ["cmake", "-G", "Ninja", "-B", "b", f"-DCONFIG_HYPER_MCU_APP_{app.upper()}=y"]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    assert set(re.findall(r"^PUBLIC (.*)$", said, re.MULTILINE)) == set(APPS[app])


ZEPHYR_CMAKE = """
cmake_minimum_required(VERSION 3.20)
project(stub LANGUAGES C)
set(CONFIG_HYPER_MCU y)
function(zephyr_include_directories)
  include_directories(${ARGN})
endfunction()
function(zephyr_library_named name)
  add_library(${name} STATIC)
endfunction()
function(zephyr_library_sources)
  target_sources(hyper_mcu PRIVATE ${ARGN})
endfunction()
add_subdirectory(LIBRARY/zephyr module)
"""


@needs_c
@needs_cmake
@pytest.mark.parametrize("device", [False, True], ids=["alone", "device"])
def test_zephyrs_cmake_builds_its_library(folder: Path, tmp_path: Path, device: bool) -> None:
    text = ZEPHYR_CMAKE.replace("LIBRARY", str(folder))
    if device:
        text = text.replace("set(CONFIG_HYPER_MCU y)", "set(CONFIG_HYPER_MCU y)\nset(CONFIG_HYPER_MCU_DEVICE y)")
    (tmp_path / "CMakeLists.txt").write_text(text)
    run("cmake", "-G", "Ninja", "-B", "b", cwd=tmp_path)
    run("cmake", "--build", "b", "-j", "2", cwd=tmp_path)
    assert len(list((tmp_path / "b").rglob("*.o"))) == (len(list((folder / "src/device").glob("*.c"))) if device else 5)


@needs_c
@needs_cmake
def test_plain_cmake_builds_the_library(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "hm_device.h"\nint main(void) { return hm_code_text(0)[0] == 0; }\n')
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(yours LANGUAGES C)\n"
        f"add_subdirectory({folder} hyper_mcu)\nadd_executable(yours main.c)\ntarget_link_libraries(yours hyper_mcu)\n"
    )
    run("cmake", "-G", "Ninja", "-B", "b", cwd=tmp_path)
    run("cmake", "--build", "b", "-j", "2", cwd=tmp_path)
    assert run(tmp_path / "b" / "yours") == ""


def test_the_esp32_project_is_whole_but_for_the_engine() -> None:
    assert esp32_boards() == ("esp32-cam", "esp32-s3-eye")
    for board in esp32_boards():
        files = esp32_project(board)
        assert "components/hyper_mcu/src/hm_engine.h" not in files
        assert {f"components/hyper_mcu/src/apps/{app}/main.c" for app in APPS} <= files.keys()
        assert {"CMakeLists.txt", "main/main.c", "main/CMakeLists.txt", "partitions.csv"} <= files.keys()
        assert f"CONFIG_HYPER_MCU_BOARD_{board.upper().replace('-', '_')}=y" in files["sdkconfig.defaults"].decode()
        assert not [name for name in files if "examples" in name or "samples" in name]
        assert files["components/hyper_mcu/Kconfig"] == kconfig.KCONFIG.read_bytes()
        assert all(not PurePosixPath(name).is_absolute() and ".." not in name for name in files)


def test_the_sketch_has_the_projects_partitions(folder: Path) -> None:
    sketch = folder / "examples" / "Esp32CamDoor" / "partitions.csv"
    assert sketch.read_bytes() == (kconfig.PROJECT / "partitions.csv").read_bytes()
