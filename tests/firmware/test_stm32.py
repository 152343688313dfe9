"""The STM32F405's real image on QEMU's netduinoplus2, over its USART: people sent, asked about and replaced, the power
cut in between; the emulated Cortex-M4 too, where its line and flash are another. Every verdict is the oracle's."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from emulated_bench import KEY, M4, PATIENCE, STM32, Bench, Images, agrees, cut_power_after, needs_emulator
from people import TINY, net, person, with_threshold

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device import client, image
from hyper_mcu.device.boards import BOARDS
from hyper_mcu.device.build import STACK_BYTES, compile_board
from hyper_mcu.device.client import Device, layer_crcs
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.emulated import FAULT, FLASH, POWER_CUT, Emulated
from hyper_mcu.device.keys import Key
from hyper_mcu.device.line import LineError
from hyper_mcu.device.seal import seal, tag

UNIT = BOARDS[STM32].chip.people.unit
CAMERA = Path(__file__).parent / "camera_of_file.c"

pytestmark = needs_emulator


def named(name: str, seed: int) -> Person:
    """A person of TINY with integers of their own."""
    return person(net(TINY, seed), name)


ALICE, BOB, NEWER = named("alice", 1), named("bob", 2), named("alice", 3)


def as_if_encrypted(sealed: bytes) -> bytes:
    """The same, sealed by who says that it is encrypted."""
    whole = sealed[:12] + struct.pack("<I", 1) + sealed[16:-32]
    return whole + tag(KEY, whole)


@pytest.mark.parametrize("board", [STM32, M4])
def test_two_people_are_sent_asked_about_and_there_after_a_power_cut(images: Images, board: str) -> None:
    bench, shown = images(board, owner=ALICE), oracle.known_image(TINY, 5)
    with bench.start() as running, Device(running.line, patience=PATIENCE) as device:
        said = device.info()
        assert (said.board, said.key, said.people, said.selftest, said.replay) == (board, 0, 0, True, False)
        device.set_key(KEY)
        with pytest.raises(DeviceError) as refused:
            device.set_key(Key(8, bytes([1] * 32)))
        assert refused.value.code == Code.HAS_KEY
        for counter, p in enumerate((ALICE, BOB), 1):
            device.load(seal(p, KEY, counter))
            agrees(device, p, shown)
        with pytest.raises(DeviceError) as refused:
            device.load(seal(NEWER, Key(KEY.number, bytes([1] * 32)), 3), replace=True)
        assert refused.value.code == Code.WRONG_SEAL
        assert not device.info().cipher
        with pytest.raises(DeviceError) as refused:
            device.load(as_if_encrypted(seal(NEWER, KEY, 3)), replace=True)
        assert refused.value.code == Code.NO_CIPHER
        assert 500 < device.info().stack < STACK_BYTES / 2
    with bench.start() as running, bench.on(running) as device:
        assert [(e.name, e.counter) for e in device.people()] == [("alice", 1), ("bob", 2)]
        assert (device.info().key, device.info().counter) == (KEY.number, 2)
        for p in (ALICE, BOB):
            device.known_answer(p.name)
            agrees(device, p, shown)
        device.delete("alice")
        assert [e.name for e in device.people()] == ["bob"]
        with pytest.raises(DeviceError) as refused:
            device.load(seal(ALICE, KEY, 2))  # no higher than what the device accepted before
        assert refused.value.code == Code.OLD


@pytest.fixture(scope="module")
def stored(images: Images) -> Callable[[str], tuple[Bench, bytes]]:
    """A bench, and the flash of its board with the key, alice and bob."""
    made: dict[str, tuple[Bench, bytes]] = {}

    def flash(board: str) -> tuple[Bench, bytes]:
        if board not in made:
            bench = images(board, owner=ALICE)
            with bench.start() as running, Device(running.line, patience=PATIENCE) as device:
                device.set_key(KEY)
                device.load(seal(ALICE, KEY, 1, id=bytes(16)))
                device.load(seal(BOB, KEY, 2))
            made[board] = bench, (bench.folder / FLASH).read_bytes()
        return made[board]

    return flash


def is_cut(bench: Bench, base: bytes, operations: int) -> bool:
    """Replaces alice by NEWER on the flash `base`, and lets the power fail in the midst of that operation of flash: of
    the board that is then switched on it is asserted that it has the one or the other, whole, and bob, and that it
    takes the newer one. Returns whether the power did fail, or the update was over before."""
    new = seal(NEWER, KEY, 3, id=bytes([1] * 16))
    (bench.folder / FLASH).write_bytes(base)
    cut_power_after(bench.folder, operations)
    with bench.start() as running:
        try:
            with bench.on(running) as device:
                device.load(new, replace=True)
            cut = False
        except UserError:
            cut = True
            assert running.wait(10) == POWER_CUT
    cut_power_after(bench.folder, None)
    with bench.start() as running, bench.on(running) as device:
        found = {e.name: e for e in device.people()}
        assert found.keys() == {"alice", "bob"}
        had = {bytes(16).hex(): ALICE, bytes([1] * 16).hex(): NEWER}[found["alice"].id]
        shown = oracle.known_image(TINY, 11)
        agrees(device, had, shown)
        agrees(device, BOB, shown)
        assert cut or had is NEWER
        device.load(new, replace=True)
        agrees(device, NEWER, shown)
    return cut


@pytest.mark.slow
@pytest.mark.parametrize("board", [STM32, M4])
def test_update_is_whole_or_not_there_wherever_the_power_fails(
    stored, board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACK", 0.0)
    operations = 0
    while is_cut(*stored(board), operations):
        operations += 1
    assert operations > 230


def killed(bench: Bench, sent: bytes, part: int) -> list[int]:
    """Switches the board on, sends a person and kills it once it has `part` bytes; how many it had, one by one."""
    parts: list[int] = []
    with bench.start() as running, bench.on(running) as device:

        def kill(done: int, of: int) -> None:
            parts.append(done)
            if done >= part:
                running.kill()

        assert [e.name for e in device.people()] == ["first"]
        with pytest.raises(LineError):
            device.load(sent, progress=kill)
    return parts


def test_killed_upload_goes_on_where_it_was(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACK", 0.0)
    large = preset("paper")
    first, second = person(net(large, 1), "first"), person(net(large, 2), "second")
    bench, sent = images(STM32, owner=first), seal(second, KEY, 2)
    with bench.start() as running, Device(running.line, patience=PATIENCE) as device:
        device.set_key(KEY)
        device.load(seal(first, KEY, 1))
    reached = 0
    for part in (6_000, 20_000):
        parts = killed(bench, sent, part)
        assert max(0, reached - UNIT) <= parts[0] <= reached  # what a unit of flash has whole is not sent again
        reached = parts[-1]
    parts.clear()
    with bench.start() as running, bench.on(running) as device:
        device.load(sent, progress=lambda done, of: parts.append(done))
        assert reached - UNIT <= parts[0] <= reached
        assert parts[-1] == len(sent)
        assert [e.name for e in device.people()] == ["first", "second"]
        agrees(device, second, oracle.known_image(large, 5))


def heard(running: Emulated, end: bytes) -> str:
    """What a board says at its start, up to the line with `end`."""
    host, port = running.line.removeprefix("tcp:").split(":")
    said = b""
    with socket.create_connection((host, int(port)), 20) as line:
        while b"\n" not in said.partition(end)[2]:
            more = line.recv(4096)
            assert more, f"ended after {said!r}"
            said += more
    return said.decode("ascii")


def test_selftest_says_known_answers_layers_cycles_and_stack(stored) -> None:
    bench, flash = stored(STM32)
    (bench.folder / FLASH).write_bytes(flash)
    with bench.start() as running:
        said = heard(running, b"session: ")
    assert said.startswith(f"hyper-mcu on {STM32}: ready\r\n")
    for p in (ALICE, BOB):
        crcs = layer_crcs(oracle.run(p.qnet, oracle.known_image(TINY, p.known.seed)))
        lines = "".join(rf"  layer {i}: CRC-32 {crc:08x}, cycles \d+\r\n" for i, crc in enumerate(crcs))
        assert re.search(rf"{p.name}: known answer: .*\r\n{lines}  all: cycles \d+ at 168 MHz\r\n", said)
    assert 500 < int(re.search(r"stack: (\d+) bytes", said)[1]) < STACK_BYTES / 2


def test_selftest_of_an_empty_flash_tests_what_is_there(images: Images) -> None:
    with images(STM32, owner=ALICE).start() as running:
        said = heard(running, b"session: ").splitlines()
    vectors = ["SHA-256, FIPS 180-4: right", "HMAC-SHA-256, RFC 4231: right", "CRC-32: right"]
    assert said[:4] == [f"hyper-mcu on {STM32}: ready", *vectors]
    assert re.fullmatch(r"stack: \d+ bytes, session: \d+ bytes", said[4])


def shown_frames(bench: Bench, frame: np.ndarray, times: int) -> None:
    """What camera_of_file.c shows after the next start."""
    (bench.folder / "hm-frame.bin").write_bytes(bytes([times]) + frame.tobytes())


def test_camera_opens_for_the_one_and_shuts_for_others_over_a_power_cut(images: Images) -> None:
    frame = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    warp = image.warp_of_guide(64, 48, (64 * 16 * 500 // 1000, 48 * 16 * 430 // 1000), 64 * 16 * 190 // 1000)
    crop = image.crop(frame.reshape(48, -1), "rgb888", warp)[:8, :6]
    logit = oracle.run(ALICE.qnet, np.ascontiguousarray(crop)).logit
    opens, shuts = with_threshold(ALICE, logit), with_threshold(ALICE, logit + 1)
    bench = images(STM32, "verify", owner=ALICE, extra=(CAMERA,))
    with bench.start() as running, Device(running.line, patience=PATIENCE) as device:
        device.set_key(KEY)
        device.load(seal(opens, KEY, 1))
    shown_frames(bench, frame, 1)
    with bench.start() as running:
        assert f"alice: match, logit {logit} of {logit}\r\n" in heard(running, b" of ")
    shown_frames(bench, frame, 0)
    with bench.start() as running, bench.on(running) as device:
        assert device.info().failures == 0
        device.load(seal(shuts, KEY, 2), replace=True)
    shown_frames(bench, frame, 6)
    with bench.start() as running:
        said = heard(running, b"shut for")
    assert said.count(f"no match, logit {logit} of {logit + 1}\r\n") == 5
    assert "the gate is shut for 30 s\r\n" in said or "the gate is shut for 29 s\r\n" in said
    shown_frames(bench, frame, 0)
    with bench.start() as running, bench.on(running) as device:
        assert (device.info().failures, device.info().wait) in ((5, 30), (5, 29), (5, 28))


def test_replay_needs_no_challenge_and_still_none_for_people(images: Images) -> None:
    bench, shown = images(STM32, "replay", owner=ALICE), oracle.known_image(TINY, 8)
    with bench.start() as running, Device(running.line, patience=PATIENCE) as device:
        device.set_key(KEY)
        device.load(seal(ALICE, KEY, 1))
        device.key = Key(KEY.number, bytes([1] * 32))
        assert device.info().replay
        agrees(device, ALICE, shown)
        with pytest.raises(DeviceError) as refused:
            device.delete("alice")
        assert refused.value.code == Code.NOT_ALLOWED


def test_torn_words_of_flash_are_passed_over_in_and_out_of_it_blocks(tmp_path: Path) -> None:
    """A bus fault at such an address as a load: what is behind it runs; at another address it ends what runs."""
    (tmp_path / "main.c").write_text(r"""
#include "hm_port.h"

static uint32_t at(uint32_t address)
{
    uint32_t word = 7;
    __asm__ volatile("ldr %0, [%1]" : "+r"(word) : "r"(address)); /* of 16 bits */
    __asm__ volatile("ldr.w %0, [%1]\n adds %0, #1" : "+r"(word) : "r"(address) : "cc");
    __asm__ volatile("cmp %1, #0\n ittte ne\n addne %0, #1\n ldrne %0, [%1]\n addne %0, #1\n moveq %0, #0"
                     : "+r"(word) : "r"(address) : "cc");
    return word;
}

void hm_main(void)
{
    const uint8_t said = (uint8_t)('0' + at(0xB0000010U) - 7U);
    (void)hm_port_write(&said, 1);
    (void)hm_port_write((const uint8_t *)"\n", 1);
    (void)at(0xB0000100U);
}
""")
    torn = ("HM_TORN_ORIGIN=0xB0000000U", "HM_TORN_BYTES=0x100U")
    out, engine = tmp_path / "device.elf", emit_engine(ALICE)
    program = compile_board(BOARDS[STM32], str(tmp_path / "main.c"), out, engine, defines=torn)
    with Emulated(BOARDS[STM32], program, tmp_path) as running:
        assert heard(running, b"3") == "3\n"
        assert running.wait(20) == FAULT


def test_fault_ends_what_runs(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include "hm_port.h"\nvoid hm_main(void)\n{\n    hm_port_light(true);\n'
        "    (void)*(uint32_t volatile *)0xB0000000U;\n}\n"
    )
    program = compile_board(BOARDS[STM32], str(tmp_path / "main.c"), tmp_path / "device.elf", emit_engine(ALICE))
    with Emulated(BOARDS[STM32], program, tmp_path) as running:
        host, port = running.line.removeprefix("tcp:").split(":")
        with socket.create_connection((host, int(port)), 20):
            assert running.wait(20) == FAULT
