"""hm_device_look: who is before the camera, of the people that were sent over the link; and when it does not say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from devices import KEY, OTHER_KEY, PRODUCT, SMALL, Board, client, compiled, keep_key, needs_compiler, sealed
from people import TINY, Person, net, person, with_threshold

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain
from hyper_mcu.device.build import FIRMWARE
from hyper_mcu.device.keys import Key

pytestmark = needs_compiler

MATCH, NO_MATCH, ERROR = "5ac369a5", "a53c965a", "3c5aa5c3"
LOOK = Path(__file__).parents[2] / "firmware" / "look.c"
NOTHING = f"{ERROR} - {-(2**31)} 0"


IMAGES = [oracle.known_image(TINY, seed) for seed in range(1, 60)]


def halving(p: Person) -> Person:
    """The same person with a threshold that half of the images reach."""
    return with_threshold(p, sorted(oracle.run(p.qnet, i).logit for i in IMAGES)[len(IMAGES) // 2])


ALICE, BOB = halving(person(net(TINY))), halving(person(net(TINY, 2), "bob"))


def above(p: Person, image: np.ndarray) -> int:
    return oracle.run(p.qnet, image).logit - p.threshold


def shown(wanted: Callable[[np.ndarray], bool]) -> np.ndarray:
    return next(i for i in IMAGES if wanted(i))


ALICES = shown(lambda i: above(ALICE, i) >= 0 and above(ALICE, i) > above(BOB, i))
BOBS = shown(lambda i: above(BOB, i) >= 0 and above(BOB, i) > above(ALICE, i))
STRANGERS = shown(lambda i: above(ALICE, i) < 0 and above(BOB, i) < 0)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device that looks, beside the one on the link."""
    return compiled(tmp_path_factory.mktemp("look"), ALICE, str(LOOK), defines=PRODUCT)


@pytest.fixture
def board(board: Board) -> Board:
    """One with both people in its flash."""
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
        device.load(sealed(BOB, 2))
    return board


@pytest.fixture
def look(looking: Path, board: Board, tmp_path: Path) -> Callable[..., tuple[list[str], list[str]]]:
    """What is said of a frame, looked at so often, and what the light did."""

    def run(image: np.ndarray, times: int = 1) -> tuple[list[str], list[str]]:
        (tmp_path / "frame").write_bytes(image.tobytes())
        words = [looking, "--flash", board.flash, "--key", board.key_file, "--frame", tmp_path / "frame", *SMALL]
        words += ["--width", TINY.width, "--height", TINY.height]
        said = {"env": {**os.environ, "TIMES": str(times)}, "capture_output": True, "text": True}
        done = subprocess.run([str(w) for w in words], check=True, **said)
        return done.stdout.splitlines()[1:], done.stderr.splitlines()  # behind the name of the line

    return run


def test_the_one_who_is_there_opens_and_no_stranger(look) -> None:
    for image, p in ((ALICES, ALICE), (BOBS, BOB)):
        said, light = look(image)
        assert said == [f"{MATCH} {p.name} {oracle.run(p.qnet, image).logit} 1 0"]
        assert light == ["light on", "light off"]
    best = max((ALICE, BOB), key=lambda p: above(p, STRANGERS))
    said, light = look(STRANGERS)
    assert said == [f"{NO_MATCH} - {oracle.run(best.qnet, STRANGERS).logit} 0 0"]
    assert light == []


def test_too_many_strangers_shut_the_gate_for_everybody_and_a_restart_does_not_open_it(look) -> None:
    said, _ = look(STRANGERS, 4)
    assert [line[:8] for line in said] == [NO_MATCH] * 3 + [ERROR]
    said, light = look(ALICES, 2)
    assert all(line.startswith(NOTHING) and int(line.split()[-1]) > 0 for line in said)
    assert light == []


def test_a_match_wipes_the_failures(look) -> None:
    look(STRANGERS, 2)
    assert look(ALICES)[0][0].startswith(MATCH)
    assert [line[:8] for line in look(STRANGERS, 3)[0]] == [NO_MATCH] * 3


def test_a_damaged_person_is_gone_and_nobody_else(look, board: Board) -> None:
    whole = bytearray(board.flash.read_bytes())
    at = whole.index(sealed(BOB, 2)[200:300])
    whole[at] &= whole[at] - 1 & 0xFF
    board.flash.write_bytes(whole)
    assert look(ALICES)[0][0].startswith(f"{MATCH} alice")
    said, light = look(BOBS)
    assert (f"{MATCH} bob" in said[0], "light on" in light) == (False, above(ALICE, BOBS) >= 0)


def test_people_of_another_key_number_are_not_there(look, board: Board) -> None:
    keep_key(board.key_file, Key(2, bytes(range(9, 41))))
    said, light = look(ALICES)
    assert said[0].startswith(NOTHING)
    assert light == []


def with_foreign_bob(board: Board, first: bool = False) -> None:
    """Bob under the number of the device's key, and another key: what only who writes the flash brings."""
    with board.start() as process, client(process) as device:
        device.delete("alice")
        device.delete("bob")
    for counter, (p, key) in enumerate(((ALICE, KEY), (BOB, OTHER_KEY))[:: -1 if first else 1], 3):
        keep_key(board.key_file, key)
        with board.start() as process, client(process, key) as device:
            device.load(sealed(p, counter, key))
    keep_key(board.key_file, KEY)


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_one_person_who_cannot_be_asked_is_an_error_of_all(look, board: Board, first: bool) -> None:
    with_foreign_bob(board, first)
    said, light = look(ALICES)
    assert said == [f"{NOTHING} 0"]
    assert light == []
    with board.start() as process, client(process) as device:
        assert device.info().failures == 1


def test_no_status_makes_a_match_of_an_error(board: Board, tmp_path: Path) -> None:
    """With any one bit of it flipped, or all that say WRONG_SEAL, after somebody matched."""
    with_foreign_bob(board)
    kept, program = board.flash.read_bytes(), tmp_path / "flipping"
    (tmp_path / "hm_engine.h").write_text(emit_engine(ALICE))
    (tmp_path / "frame").write_bytes(ALICES.tobytes())
    folders = [tmp_path, FIRMWARE / "device", FIRMWARE / "ports" / "host"]
    sources = [*sorted(folders[1].glob("*.c")), *sorted(folders[2].glob("*.c")), LOOK]
    compiler = [find_toolchain(target_named("host")).path, "-DFLIP", "-Wl,--wrap=hm_gate_judge"]
    subprocess.run([*compiler, *(f"-I{f}" for f in folders), *sources, "-o", program], check=True)
    files = ["--flash", board.flash, "--key", board.key_file, "--frame", tmp_path / "frame"]
    words = [str(w) for w in (program, *files, *SMALL, "--width", TINY.width, "--height", TINY.height)]
    statuses = [1 << bit for bit in range(32)] + [told for told in range(64)]
    for flip in statuses:
        board.flash.write_bytes(kept)
        environment = {**os.environ, "TIMES": "1", "FLIP": str(flip)}
        done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
        assert done.stdout.splitlines()[1][:8] in (ERROR, NO_MATCH)
        assert done.stderr == ""


def test_nobody_stored_costs_no_attempt(look, board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.delete("alice")
        device.delete("bob")
    assert look(ALICES, 5)[0] == [f"{NOTHING} 0"] * 5
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 3))
        assert (device.info().failures, device.info().wait) == (0, 0)
    assert look(ALICES)[0][0].startswith(MATCH)
