"""The verify application as a process: a frame, the gate's decision about it on the serial line, and the light."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from devices import ALICE, PRODUCT, SMALL, Board, client, compiled, needs_compiler, sealed
from numpy.typing import NDArray
from people import TINY, with_threshold
from spoken import Line

from hyper_mcu.codegen import oracle
from hyper_mcu.device import image
from hyper_mcu.device.image import Search, Warp

pytestmark = needs_compiler

WIDTH, HEIGHT = 64, 48
MARKS = ((450, 400), (670, 410), (560, 520), (480, 620), (650, 630))
SEARCH = Search(shifts=1, scales=1, shift=6, scale=6)
GUIDE = image.warp_of_guide(
    WIDTH, HEIGHT, (WIDTH * 16 * 500 // 1000, HEIGHT * 16 * 430 // 1000), WIDTH * 16 * 190 // 1000
)
FRAME = np.random.default_rng(3).integers(1, 256, (HEIGHT, WIDTH, 3), np.uint8)
OPENS = "light on\n"
Door = Callable[..., Line]


def logit(frame: NDArray[np.uint8], warp: Warp = GUIDE) -> int:
    """The oracle's, of a crop of a frame."""
    crop = image.crop(frame.reshape(HEIGHT, -1), "rgb888", warp)[: TINY.height, : TINY.width]
    return oracle.run(ALICE.qnet, np.ascontiguousarray(crop)).logit


def show(path: Path, frame: NDArray[np.uint8]) -> Path:
    """Puts a frame before the camera."""
    new = path.with_suffix(".new")
    new.write_bytes(frame.tobytes())
    return new.rename(path)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application as it is."""
    return compiled(tmp_path_factory.mktemp("verify"), ALICE, defines=PRODUCT)


@pytest.fixture
def door(tmp_path: Path, program: Path) -> Door:
    """Starts a program before FRAME, with alice stored, whose threshold is given."""

    def start(threshold: int, which: Path = program) -> Line:
        with Board(program, tmp_path, *SMALL).start() as process, client(process) as device:
            device.load(sealed(with_threshold(ALICE, threshold), device.info().counter + 1), replace=True)
        frame = show(tmp_path / "frame", FRAME)
        shown = ("--frame", frame, "--width", WIDTH, "--height", HEIGHT)
        line = Line(Board(which, tmp_path, *SMALL).start(*shown, line=()))
        assert line.heard() == "hyper-mcu on host: ready"
        return line

    return start


def test_a_frame_opens_for_its_owner_once_and_again_when_it_is_written_anew(door: Door, tmp_path: Path) -> None:
    own = logit(FRAME)
    others = next(f for f in (np.roll(FRAME, n, 0) for n in range(1, HEIGHT)) if logit(f) < own)
    line = door(own)
    assert line.heard() == f"alice: match, logit {own} of {own}"
    assert line.heard(seconds=0.2) == ""  # the frame is still there, and nobody asks again
    show(tmp_path / "frame", others)
    assert line.heard() == f"no match, logit {logit(others)} of {own}"
    show(tmp_path / "frame", FRAME)
    assert line.heard() == f"alice: match, logit {own} of {own}"
    (tmp_path / "frame").write_bytes(b"")  # as it is when somebody begins to write it
    assert line.heard(seconds=0.2) == ""
    show(tmp_path / "frame", np.zeros(5, np.uint8))
    assert line.heard(seconds=0.2) == ""
    assert line.end().splitlines() == ["light on", f"{tmp_path / 'frame'}: not width * height * 3 bytes"]


def test_a_match_opens_for_three_seconds(door: Door) -> None:
    line = door(logit(FRAME))
    assert "match" in line.heard()
    time.sleep(3.2)
    assert line.end() == "light on\nlight off\n"


def test_strangers_shut_the_gate_and_it_is_said(door: Door, tmp_path: Path) -> None:
    own = logit(FRAME)
    line = door(own + 1)
    for _ in range(5):
        assert line.heard() == f"no match, logit {own} of {own + 1}"
        show(tmp_path / "frame", FRAME)
    assert line.heard() in ("the gate is shut for 30 s", "the gate is shut for 29 s")
    assert line.end() == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--frame", "none.rgb", "--width", 64, "--height", 48), "none.rgb: No such file or directory\n"),
        (("--frame", "short.rgb", "--width", 64, "--height", 48), "short.rgb: not width * height * 3 bytes\n"),
        (("--frame", "short.rgb"), "--frame: needs --width and --height\n"),
        (("--frame", ".", "--width", 64, "--height", 48), ".: not width * height * 3 bytes\n"),
    ],
)
def test_a_frame_that_cannot_be_read_is_one_line(
    program: Path, tmp_path: Path, given: tuple[object, ...], said: str
) -> None:
    (tmp_path / "short.rgb").write_bytes(bytes(9))
    words = [program, *(str(g) for g in given)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_search_finds_the_face_that_the_guide_misses(door: Door, tmp_path: Path) -> None:
    best = max(logit(FRAME, warp) for warp in image.tries(GUIDE, SEARCH))
    assert best > logit(FRAME)
    line = door(best)
    assert line.heard() == f"no match, logit {logit(FRAME)} of {best}"
    assert line.end() == ""
    (tmp_path / "searching").mkdir()
    searching = compiled(tmp_path / "searching", ALICE, defines=("HM_DOOR_SEARCH=1,1,0,6,6,0",))
    line = door(best, searching)
    assert line.heard() == f"search: {SEARCH.cost} verifications"
    assert line.heard() == f"alice: match, logit {best} of {best}"
    assert line.end() == OPENS


def test_landmarks_open_for_their_owner(door: Door, tmp_path: Path) -> None:
    own = logit(FRAME, image.warp_of_landmarks(WIDTH, HEIGHT, MARKS))
    assert own > logit(FRAME)  # where the guide looks there is nobody
    application = Path(__file__).parents[2] / "firmware" / "door_of_landmarks.c"
    marks = ",".join(f"{{{x},{y}}}" for x, y in MARKS)
    program = compiled(tmp_path, ALICE, str(application), defines=(f"LANDMARKS={marks}",))
    line = door(own, program)
    assert line.heard() == f"alice: match, logit {own} of {own}"
    hidden = FRAME.copy()
    hidden[0, 0, 0] = 0
    show(tmp_path / "frame", hidden)
    assert line.heard() == "landmarks that make no face"
    assert line.end() == OPENS
    with Board(program, tmp_path, *SMALL).start() as process, client(process) as device:
        assert device.info().failures == 0  # who is not found is no attempt
