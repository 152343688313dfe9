"""A firmware project for a board that builds alone: every source that it needs, the engine, and people as data.

The sources are those of firmware/, in the folders that they have there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyper_mcu import __version__
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.files import read
from hyper_mcu.codegen.layout import architecture
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.targets import ARM
from hyper_mcu.codegen.toolchain import cache_dir, private_dir
from hyper_mcu.device.boards import Board, board_named, places
from hyper_mcu.device.build import APPS, FIRMWARE
from hyper_mcu.device.client import MOST_PEOPLE
from hyper_mcu.device.engine import engine
from hyper_mcu.device.package import ENGINE, esp32_project
from hyper_mcu.device.project_text import BUILDS, cmake, make, parts, people_c, readme
from hyper_mcu.device.seal import HEAD, TAG

SLOT_HEAD = 160  # HM_SLOT_HEAD of hm_store.h
ABOUT = "hyper-mcu.json"  # what the folder is, for `flash --project`


@dataclass(frozen=True)
class Project:
    """What a project folder holds: files by their paths in it. command: builds it, in that folder; image: what the
    writers take then, relative to it, "" for a process of this machine; program: what is run."""

    board: Board
    build: str
    app: str
    files: dict[str, bytes]
    command: str
    image: str
    program: str

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """The programs that build it, and where they are expected."""
        if self.build == "esp-idf":
            return (("idf.py", "idf.py on PATH: ESP-IDF 5.3 or newer, then . $IDF_PATH/export.sh"),)
        tool = (self.build, f"{self.build} on PATH (Debian: {self.build})")
        compiler = (
            ("cc", "a C compiler on PATH (Debian: gcc)")
            if self.board.build == "host"
            else (ARM.gcc.name, ARM.gcc.place)
        )
        return tool, compiler


def builds_of(board: Board) -> tuple[str, ...]:
    """How a project for a board can be built, its own way first."""
    return ("esp-idf",) if board.build == "esp-idf" else ("cmake", "make")


def project(board: Board, people: Sequence[Person], *, build: str = "", app: str = "verify") -> Project:
    """The project of an application for a board, with the people that come with it; without any, for the network that
    the shipped generator's people have.

    Raises UserError for people who do not go together or do not fit, and a build that the board does not have.
    """
    check_people(board, people)
    build = build or builds_of(board)[0]
    if build not in builds_of(board):
        raise UserError("--build", f"not for {board.name}", " or ".join(builds_of(board)), build)
    if app not in APPS:
        raise UserError("--app", "unknown", ", ".join(APPS), app)
    if board.build == "esp-idf":
        files = esp32_project(board.name, app)
        files[f"components/hyper_mcu/{ENGINE}"] = text_of_engine(people)
        if people:
            files["main/people.c"] = people_c(people).encode()
    else:
        made = parts(board, app)
        files = {f"firmware/{name}": (FIRMWARE / name).read_bytes() for name in made.copied}
        text = cmake(board, made, app) if build == "cmake" else make(board, made, app)
        files["CMakeLists.txt" if build == "cmake" else "Makefile"] = text.encode()
        files |= {"people.c": people_c(people).encode(), "engine/hm_engine.h": text_of_engine(people)}
    about = {"board": board.name, "app": app, "build": build, "made_by": __version__}
    files[ABOUT] = (json.dumps(about, indent=2) + "\n").encode()
    described = _described(board, app, build, files)
    files["README.md"] = readme(board, app, build, described.program, people).encode()
    return described


def text_of_engine(people: Sequence[Person]) -> bytes:
    """hm_engine.h of the people's network."""
    return engine(people[0] if people else None).encode("ascii")


def _described(board: Board, app: str, build: str, files: dict[str, bytes]) -> Project:
    if build == "esp-idf":
        return Project(board, build, app, files, BUILDS[build], "build/flash_args", "build/hyper_mcu_door.elf")
    program = f"build/{app}" if board.build == "host" else f"build/{app}.elf"
    return Project(board, build, app, files, BUILDS[build], "" if board.is_emulated else program, program)


def check_people(board: Board, people: Sequence[Person]) -> None:
    """Raises UserError where people are of several networks, share a name, or are more than fit."""
    nets = {architecture(p.qnet.spec): p for p in people}
    if len(nets) > 1:
        a, b, *_ = nets.values()
        ids = f"{a.name} has {a.qnet.spec.id}, {b.name} {b.qnet.spec.id}"
        raise UserError("--person", "people of several networks", "one network a firmware", ids)
    names = [p.name for p in people]
    if twice := [n for n in dict.fromkeys(names) if names.count(n) > 1]:
        raise UserError("--person", "two people of one name", "names that differ", twice[0])
    room = min(places(board, slot_bytes(people[0])), MOST_PEOPLE) if people else MOST_PEOPLE
    if len(people) > room:
        raise UserError("--person", f"more people than {board.name} has places", str(room), len(people))


def slot_bytes(p: Person) -> int:
    """Bytes of flash that a person of that network takes, not rounded up to units: STORE.md, "Slots"."""
    return SLOT_HEAD + HEAD.size + len(pack(p, for_device=True)) + TAG


def opened(folder: Path) -> Project:
    """The Project that `write_folder` wrote to `folder`, without its files. Raises UserError where it is none."""
    said = read(folder / ABOUT, "a folder of hyper-mcu new-project")
    try:
        about = json.loads(said)
        board, app, build = (str(about[key]) for key in ("board", "app", "build"))
    except (ValueError, KeyError, TypeError) as e:
        raise UserError(folder / ABOUT, "damaged", "what new-project wrote", type(e).__name__) from e
    of = board_named(board)
    if app not in APPS or build not in builds_of(of):
        raise UserError(folder / ABOUT, "damaged", "what new-project wrote", f"{app} by {build}")
    return _described(of, app, build, {})


def in_cache(board: Board, people: Sequence[Person], app: str) -> tuple[Path, Project]:
    """The project of an application for a board in the user's cache, a folder for each content, so that it is built but
    once."""
    made = project(board, people, app=app)
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in sorted(made.files.items())))
    folder = cache_dir() / "firmware" / f"{board.name}-{app}-{digest.hexdigest()[:16]}"
    private_dir(folder.parent)
    if not (folder / ABOUT).is_file():
        write_folder(folder, made.files)
    return folder, made


def check_out(out: Path) -> None:
    """Raises UserError where `out` is no new or empty folder, or cannot be made."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(out, "cannot write", "a new folder", "a link" if out.is_symlink() else "a file")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(out, "there is something already", "a new or empty folder", "one with files")
    if not out.absolute().parent.is_dir():
        raise UserError(out, "cannot write", f"an existing folder {out.parent}", "none")


def write_folder(out: Path, files: dict[str, bytes]) -> None:
    """Writes files to a new or empty folder: beside it first, then renamed, so that it is there whole or not at all.

    What it holds is about people's faces: its owner alone may enter it. Raises UserError where it cannot be written and
    where something is there already.
    """
    check_out(out)
    part = None
    try:
        part = Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}."))
        for name, data in files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        os.replace(part, out.absolute())
    except BaseException as e:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if not isinstance(e, OSError):
            raise
        raise UserError(out, "cannot write", "space and permission", (e.strerror or str(e)).lower()) from e
