"""Verdicts and layers of a device, which are the oracle's, and images and people that it gives none for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from devices import ALICE, BOB, CROP, Board, client, compiled, healthy, needs_compiler, sealed
from exchange import ask, check, name_of, refusal, saying
from people import TINY, net, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device.client import Device
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import Request

pytestmark = needs_compiler


def test_the_paper_preset_on_a_whole_image(tmp_path: Path) -> None:
    p = seeded(preset("paper"))
    board = Board(compiled(tmp_path, p), tmp_path, "--units", 48)
    image = oracle.known_image(p.qnet.spec, 5)
    with board.start() as process, client(process, patience=1.0) as device:
        info = device.info()
        assert (info.rows, info.row_bytes, info.layers) == (112, 336, len(p.qnet.spec.stages))
        device.load(sealed(p, 1))
        check(device, p, image)
        said = [device.verify(image, p.name, layers=True) for _ in range(3)]
        assert healthy(process.kill())
    cycles = np.min([v.profile for v in said], axis=0)  # what else the machine did only adds to them
    convolutions = [(stage.macs, int(c)) for stage, c in zip(p.qnet.spec.stages, cycles, strict=True) if stage.macs]
    assert min(v.cycles for v in said) / 2 < sum(cycles) <= max(v.cycles for v in said)
    assert max(convolutions)[1] > 2 * min(convolutions)[1]


def test_everybody_is_asked_and_the_furthest_above_their_threshold_wins(device: Device) -> None:
    people = [ALICE, BOB, person(net(TINY, 4), "carol", -5), person(net(TINY, 5), "dave", 1 << 22)]
    for counter, p in enumerate(people, 1):
        device.load(sealed(p, counter))
    for seed in range(1, 6):
        image = oracle.known_image(TINY, seed)
        above = {p.name: oracle.run(p.qnet, image).logit - p.threshold for p in people}
        said = device.verify(image)
        assert said.name == max(above, key=lambda n: above[n])
        assert said.logit - said.threshold == max(above.values())


def test_nobody_is_there_to_be_asked(device: Device) -> None:
    with pytest.raises(DeviceError, match=saying(Code.NO_PERSON)):
        device.verify(CROP)
    for call in (device.delete, device.known_answer, lambda name: device.verify(CROP, name)):
        with pytest.raises(DeviceError, match=saying(Code.NO_PERSON)):
            call("nobody")


def test_a_person_whose_flash_was_changed_is_not_asked(board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    whole = bytearray(board.flash.read_bytes())
    at = whole.index(sealed(ALICE, 1)[200:300])
    whole[at] ^= 1
    board.flash.write_bytes(whole)
    with board.start() as process, client(process) as device:
        for name in ("alice", ""):
            with pytest.raises(DeviceError):
                device.verify(CROP, name)


def test_an_image_of_another_size_is_refused(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    with pytest.raises(UserError, match="another size; expected 144 bytes, got 75"):
        device.verify(np.zeros((5, 5, 3), np.uint8), "alice")
    name = name_of("alice")
    for sent in (143, 145):
        ask(device, Request.VERIFY, name)
        said = ask(device, Request.VERIFY_ROWS, bytes(4 + sent))
        said = ask(device, Request.VERIFY_END) if sent < 144 else said
        assert said == refusal(Code.WRONG_ROW_COUNT)
        assert ask(device, Request.VERIFY_END) == refusal(Code.WRONG_ORDER)
    check(device, ALICE)
