"""The ESP32 application as a process of this machine: ESP-IDF calls simulated (simulated*.c), its own C as it is."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from kconfig import PORT, PROJECT, macros, sdkconfig
from numpy.typing import NDArray

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device.build import APPS
from hyper_mcu.device.client import Device
from hyper_mcu.device.image import crop, frame_of, warp_of_guide
from hyper_mcu.device.keys import Key

IDF = Path(__file__).parent
FIRMWARE = PORT.parents[1]
DEVICE = FIRMWARE / "device"
SANITISED = ["-O1", "-g", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]  # needs no library
POWER_CUT = 99
KEY = Key(3, bytes(range(32)))
SECONDS = 20.0  # that anything may take on a slow machine


@cache
def owner() -> Person:
    """A person whose threshold `scene(0)` reaches."""
    person = seeded(preset("paper"))
    return replace(person, name="ada", threshold=logit(person, scene(0)))


@cache
def stranger() -> int:
    """The number of a scene that is not the owner."""
    return next(n for n in range(1, 99) if logit(owner(), scene(n)) < owner().threshold)


@cache
def scene(number: int) -> NDArray[np.uint8]:
    """A picture, uint8 (240, 320, 3), as RGB565 can show it."""
    coarse = np.random.default_rng(number).integers(0, 256, (15, 20, 3))
    picture = np.repeat(np.repeat(coarse, 16, 0), 16, 1).astype(np.uint8)
    return picture & np.array([0xF8, 0xFC, 0xF8], np.uint8)


def frame(number: int, kind: str = "rgb565-big") -> bytes:
    """What the camera delivers of it."""
    return frame_of(scene(number), kind).tobytes()


def seen(picture: NDArray[np.uint8], kind: str = "rgb565-big") -> NDArray[np.uint8]:
    """The crop behind the guide of Kconfig's defaults, of a big-endian frame that is taken for one of that kind."""
    height, width = picture.shape[:2]
    x, y, eyes = (int(macros("esp32-cam")[f"HYPER_MCU_GUIDE_{name}"]) for name in ("X", "Y", "EYES"))
    guide = warp_of_guide(width, height, (16 * x * width // 1000, 16 * y * height // 1000), 16 * eyes * width // 1000)
    return crop(frame_of(picture, "rgb565-big"), kind, guide)


def logit(person: Person, picture: NDArray[np.uint8]) -> int:
    """The oracle's, of the crop behind the guide."""
    return oracle.run(person.qnet, seen(picture)).logit


def compiled(compiler: str, sources: Sequence[Path], folder: Path, *more: str) -> list[Path]:
    """Objects of C files in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{x}" for x in (folder, common(), IDF, PORT, DEVICE, FIRMWARE)]
    words = [
        compiler,
        "-std=gnu11",
        *SANITISED,
        "-DESP_PLATFORM",
        "-DIDF_SIMULATED",
        *more,
        *includes,
        "-c",
        *map(str, sorted(sources)),
    ]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [folder / f"{source.stem}.o" for source in sources]


@cache
def common() -> Path:
    """A folder with the engine of the people here, for as long as the tests run."""
    folder = Path(tempfile.mkdtemp(prefix="hyper-mcu-esp32-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "hm_engine.h").write_text(emit_engine(owner()), "ascii")
    return folder


@cache
def device(compiler: str, app: str) -> list[Path]:
    """Objects of firmware/device and of the simulation, the same for every board."""
    folder = common() / f"{compiler}-{app}"
    return compiled(compiler, [*DEVICE.glob("*.c"), *IDF.glob("simulated*.c")], folder, *(f"-D{d}" for d in APPS[app]))


def build(
    folder: Path,
    compiler: str,
    board: str = "esp32-cam",
    app: str = "verify",
    defines: Sequence[str] = (),
    **changed: str,
) -> Path:
    """An application of a board; changed: macros of sdkconfig.h that have other values."""
    folder.mkdir(parents=True, exist_ok=True)
    changed |= {f"HYPER_MCU_APP_{name.upper()}": "1" if name == app else "" for name in APPS}
    (folder / "sdkconfig.h").write_text(sdkconfig(board, **changed), "ascii")
    macros = (f"-D{d}" for d in (*APPS[app], *defines))
    own = compiled(compiler, [*PORT.glob("*.c"), PROJECT / "main" / "main.c"], folder, *macros)
    words = [compiler, *SANITISED, *map(str, [*own, *device(compiler, app)]), "-o", str(folder / "door")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "door"


@dataclass
class Board:
    """A board: its program, and the folder with its flash, pins and camera."""

    program: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    host: Device | None = None
    log: str = ""
    _process: subprocess.Popen[str] | None = None

    def start(self, **environment: str) -> None:
        """Power on. environment: of this start alone."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "port").unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [self.program],
            env={
                **os.environ,
                "IDF_FOLDER": str(self.folder),
                "IDF_PARTITIONS": str(PROJECT / "partitions.csv"),
                **self.environment,
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.until(lambda: (self.folder / "port").exists() or self._process.poll() is not None)

    def stop(self) -> str:
        """Power off; what the log said."""
        assert self._process
        self._process.kill()
        return self._process.communicate()[1]

    def ended(self) -> int:
        """How the program ended by itself."""
        assert self._process
        code = self._process.wait(SECONDS)
        self._process.communicate()
        return code

    @contextmanager
    def running(self, **environment: str) -> Iterator[Device]:
        """The board with power and a host on its line."""
        self.start(**environment)
        try:
            with Device(self.line, KEY) as self.host:
                yield self.host
        finally:
            self.log = self.stop()

    @property
    def line(self) -> str:
        """The name of its line."""
        return f"tcp:127.0.0.1:{(self.folder / 'port').read_text()}"

    def show(self, content: bytes) -> None:
        """What the camera sees from now on."""
        part = self.folder / "frame.new"
        part.write_bytes(content)
        part.rename(self.folder / "frame.bin")

    def levels(self, number: int) -> str:
        """The levels that the program gave a pin, in order."""
        path = self.folder / f"pin{number}"
        return path.read_text() if path.exists() else ""

    def pin(self, number: int) -> str:
        """The last of them."""
        return self.levels(number)[-1:]

    def press(self, until: object, seconds: float = SECONDS) -> bool:
        """The button held down until something is so, or for so long, and let go; whether it came to be."""
        assert self.host
        self.host.info()  # whatever the board was looking at, it is done
        time.sleep(0.1)  # and the button is let go for longer than contacts bounce
        (self.folder / "press").touch()
        try:
            return self.until(until, seconds)
        finally:
            (self.folder / "press").unlink()

    def until(self, what: object, seconds: float = SECONDS) -> bool:
        """Waits until what() is true; whether it was."""
        assert callable(what)
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True
