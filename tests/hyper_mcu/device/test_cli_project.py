"""`hyper-mcu new-project` as a user meets it: a folder that builds alone, and runs where its board is emulated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from devices import ALICE, BOB, KEY, PATIENCE, STRANGER, Told, client, keep_key, needs_compiler, wrong_known_answer
from enrolled import Refused
from people import TINY

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import compile_program, find_toolchain
from hyper_mcu.device.boards import BOARDS, board_named, places
from hyper_mcu.device.build import FIRMWARE
from hyper_mcu.device.client import MOST_PEOPLE, Device
from hyper_mcu.device.emulated import Emulated
from hyper_mcu.device.frames import RESPONSE, Frame, Receiver, Request, encode
from hyper_mcu.device.line import open_line
from hyper_mcu.device.process import Process
from hyper_mcu.device.project import SLOT_HEAD, check_people, project

CROP = oracle.known_image(TINY, 41)
FACTORY = [(p.name, KEY.number, i) for i, p in enumerate((ALICE, BOB), 1)]


def there(device: Device) -> list[tuple[str, int, int]]:
    """Who is on a device: name, number of the key, counter."""
    return [(e.name, e.key, e.counter) for e in device.people()]


def checked(device: Device) -> None:
    """Its people are those of the program, and compute what the oracle does."""
    assert there(device) == FACTORY
    for p in (ALICE, BOB):
        device.known_answer(p.name)
        assert device.verify(CROP, p.name).logit == oracle.run(p.qnet, CROP).logit


@pytest.mark.parametrize("build", ["cmake", "make"])
@pytest.mark.parametrize("board", ["host", "m4", "netduinoplus2-qemu"])
def test_a_project_builds_by_its_one_command_and_runs(
    tmp_path: Path, files: Path, told: Told, board: str, build: str
) -> None:
    """People come with it, are stored as soon as there is a key, and stay deleted."""
    cores = () if board == "host" else ("arm-none-eabi-gcc", "qemu-system-arm")
    for tool in ("sh", "make", build, "cc", *cores):
        if not shutil.which(tool):
            pytest.skip(f"no {tool} on PATH")
    people = ("--person", files / "alice.bin", "--person", files / "bob.bin")
    said = told("new-project", "--board", board, *people, "--out", tmp_path / "door", "--build", build)
    assert said["people"] == ["alice", "bob"]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CFLAGS")}
    done = subprocess.run(
        ["sh", "-c", said["command"]], cwd=tmp_path / "door", env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    program, flash = tmp_path / "door" / said["program"], tmp_path / "flash"

    def started() -> Process | Emulated:
        if board == "host":
            return Process(program, "--flash", flash, "--key", tmp_path / "key")
        return Emulated(BOARDS[board], program, tmp_path)

    with started() as running, Device(running.line, patience=5 * PATIENCE) as device:
        assert there(device) == []
        device.set_key(KEY)
        checked(device)
        device.delete("alice")
    with started() as running, Device(running.line, patience=5 * PATIENCE) as device:
        assert there(device) == FACTORY[1:]
    if "socat" in said["next"] and not shutil.which("socat"):
        pytest.skip("no socat on PATH")
    for who in ([], FACTORY):  # the second time its flash is there
        with by_hand(said["next"]) as device:
            assert there(device) == who
            if not who:
                device.set_key(KEY)
                assert there(device) == FACTORY


@pytest.mark.parametrize("app", ["verify", "selftest", "replay"])
def test_the_application_of_a_project_is_the_one_that_was_asked_for(tmp_path: Path, told: Told, app: str) -> None:
    for tool in ("make", "cc"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool} on PATH")
    out = tmp_path / "door"
    said = told("new-project", "--board", "host", "--app", app, "--build", "make", "--out", out)
    assert said["program"] == f"build/{app}"
    subprocess.run(["make"], cwd=out, capture_output=True, check=True)
    with Process(out / said["program"]) as running, Device(running.line) as device:
        info = device.info()
        assert (info.selftest, info.replay) == (app != "verify", app == "replay")
        assert info.places == places(BOARDS["host"])  # of the shipped network, as nobody comes with it
    esp32 = told("new-project", "--board", "esp32-cam", "--app", app, "--out", tmp_path / "esp32")
    assert f"CONFIG_HYPER_MCU_APP_{app.upper()}=y" in (tmp_path / "esp32" / "sdkconfig.defaults").read_text()
    assert (esp32["app"], esp32["build"]) == (app, "esp-idf")


@contextmanager
def by_hand(command: str) -> Iterator[Device]:
    """What the printed command starts, at another port than the printed one, which other tests may have."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder, _, start = command.partition(" && ")
    assert "4000" in start
    words = ["sh", "-c", f"{folder} && {start.replace('4000', str(port))}"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(words, start_new_session=True, **quiet)
    end = time.monotonic() + 60
    try:
        while True:
            try:
                device = Device(f"tcp:127.0.0.1:{port}", patience=5 * PATIENCE)
                break
            except UserError:
                assert running.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        with device:
            yield device
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def test_the_page_in_a_project_says_how_to_start_it_and_where_its_line_is() -> None:
    for board in BOARDS.values():
        page = project(board, [ALICE]).files["README.md"].decode()
        assert ("--port tcp:127.0.0.1:4000" in page) == board.is_emulated
        assert ("qemu-system-arm" in page) == bool(board.emulator)


def factory(folder: Path, people: Sequence[Person] = (ALICE, BOB)) -> Path:
    """The host's project with people, compiled."""
    made = project(board_named("host"), people)
    for name, data in made.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    sources = [folder / name for name in made.files if name.endswith(".c")]
    places = [folder / name for name in ("engine", "firmware/device", "firmware/ports/host")]
    return compile_program(
        sources, target_named("host"), out=folder / "device", include_dirs=places, defines=["HM_FACTORY=1"],
        optimise="-O0", toolchain=find_toolchain(target_named("host")),
    ).elf  # fmt: skip


def cut_everywhere(program: Path, folder: Path, step: int) -> int:
    """Cuts the power at every step-th operation of flash while a program's people are stored; how often it was cut."""
    keep_key(folder / "key", KEY)
    for at in range(1, 100_000, step):
        how = ("before", "torn", "after")[at % 3]
        flash = folder / f"flash-{at}"
        words = ("--key", folder / "key", "--flash", flash, "--unit", 256, "--units", 40, "--word", 32)
        try:
            with Process(program, *words, "--cut", at, "--cut-how", how) as running:
                running.wait(2)
        except subprocess.TimeoutExpired:
            return at // step
        except UserError as e:  # already while it starts
            assert "power cut" in e.got  # noqa: PT017
        with Process(program, *words) as running, client(running) as device:
            checked(device)
    raise AssertionError("power was cut for ever")


@needs_compiler
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_a_person_of_a_program_who_is_refused_takes_nobody_along(tmp_path: Path, last: bool) -> None:
    carol = replace(wrong_known_answer(ALICE), name="carol")
    program = factory(tmp_path, (ALICE, BOB, carol) if last else (carol, ALICE, BOB))
    for key in (KEY, None):  # the second time it starts with what it has
        words = ("--flash", tmp_path / "flash", "--key", tmp_path / "key")
        with Process(program, *words) as running, client(running, None) as device:
            if key:
                device.set_key(key)
            assert [e.name for e in device.people()] == ["alice", "bob"]
            device.known_answer("bob")


@needs_compiler
def test_a_person_of_a_program_who_is_refused_is_told_of_once(tmp_path: Path) -> None:
    program = factory(tmp_path, (ALICE, replace(wrong_known_answer(ALICE), name="carol"), BOB))
    asked = [Frame(Request.SET_KEY, 1, struct.pack("<I", KEY.number) + KEY.key), Frame(Request.PING, 2)]
    with Process(program, "--flash", tmp_path / "flash", "--key", tmp_path / "key") as running:
        line, said = open_line(running.line), b""
        for frame in asked:
            line.write(encode(frame))
        while Frame(asked[-1].type + RESPONSE, 2, b"\0") not in Receiver().feed(said):
            said += (part := line.read(5))
            assert part
        line.close()
    assert said.count(b"people that came with the program: not the known answer\r\n") == 1
    assert said.count(b"people that came") == 1


@needs_compiler
def test_people_of_a_program_are_there_wherever_the_power_was_cut(tmp_path: Path) -> None:
    assert cut_everywhere(factory(tmp_path), tmp_path, 11) >= 5


@pytest.mark.slow
@needs_compiler
def test_people_of_a_program_are_there_at_every_cut(tmp_path: Path) -> None:
    assert cut_everywhere(factory(tmp_path), tmp_path, 1) >= 60


@pytest.mark.parametrize("board", [b.name for b in BOARDS.values()])
def test_every_board_has_a_project(tmp_path: Path, files: Path, told: Told, board: str) -> None:
    out = tmp_path / "door"
    out.mkdir()  # an empty folder is as good as none
    said = told("new-project", "--board", board, "--person", files / "alice.bin", "--out", out)
    written = {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}
    assert (len(written), sum(written.values())) == (said["files"], said["bytes"])
    assert said["command"] in (out / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in out.rglob("people.c")] == ["people.c"]
    assert out.stat().st_mode & 0o077 == 0
    assert json.loads((out / "hyper-mcu.json").read_text())["board"] == board
    assert str(tmp_path) not in "".join(p.read_text(encoding="utf-8") for p in out.rglob("*") if p.is_file())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["door"]


def test_as_many_people_come_with_a_program_as_the_board_has_places_for_their_network() -> None:
    store = (FIRMWARE / "device" / "hm_store.h").read_text(encoding="utf-8")
    assert f"HM_SLOT_HEAD = {SLOT_HEAD}, HM_MOST_PEOPLE = {MOST_PEOPLE}" in store
    for name, preset_name, most in (
        ("nucleo-l476rg", "paper", 13), ("nucleo-l476rg", "nano", MOST_PEOPLE), ("host", "paper", 4),
        ("esp32-cam", "paper", 18), ("esp32-s3-eye", "nano", MOST_PEOPLE),
    ):  # fmt: skip
        board, p = board_named(name), seeded(preset(preset_name))
        people = [replace(p, name=f"p{i}") for i in range(most + 1)]
        check_people(board, people[:most])
        with pytest.raises(UserError, match=f"expected {most}, got {most + 1}"):
            check_people(board, people)


def test_what_is_refused_leaves_nothing(files: Path, tmp_path: Path, refused: Refused) -> None:
    alice, bob = files / "alice.bin", files / "bob.bin"
    used = tmp_path / "used"
    used.mkdir()
    (used / "notes.txt").write_text("mine")
    at = ("--out", tmp_path / "door")
    for words, said in (
        (("--board", "esp8266", *at), "--board: unknown; expected one of host, "),
        (("--board", "host", "--out", used), f"{used}: there is something already; expected a new or empty folder"),
        (("--board", "host", "--out", used / "notes.txt"), "expected a new folder, got a file"),
        (("--board", "host", "--out", tmp_path / "no" / "door"), "expected an existing folder"),
        (("--board", "esp32-cam", "--build", "make", *at), "--build: not for esp32-cam; expected esp-idf, got make"),
        (("--board", "m4", "--build", "esp-idf", *at), "--build: not for m4; expected cmake or make, got esp-idf"),
        (("--board", "m4", "--app", "blink", *at), "--app: unknown; expected verify, selftest, replay, got blink"),
        (("--board", "m4", "--person", alice, "--person", alice, *at), "two people of one name; expected names that"),
        (("--board", "m4", "--person", alice, "--person", files / "stranger.bin", *at), "people of several networks"),
        (
            ("--board", "nucleo-f411re", "--person", alice, "--person", bob, *at),
            "more people than nucleo-f411re has places; expected 1, got 2",
        ),
        (("--board", "m4", "--person", tmp_path / "none.bin", *at), "none.bin: cannot be read"),
    ):
        assert said in refused("new-project", *words)
        assert [p.name for p in tmp_path.rglob("*")] == ["used", "notes.txt"]
    assert STRANGER.qnet.spec != ALICE.qnet.spec
