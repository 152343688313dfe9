"""People of photos on the emulated STM32F405, sent over its USART: whom it lets in and whom not, before and after a
power cut in the midst of an update. The photos are those that come with the packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emulated_bench import KEY, PATIENCE, STM32, Bench, Images, agrees, cut_power_after, needs_emulator
from numpy.typing import NDArray
from PIL import Image

from hyper_mcu import cli, enroll, generator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.device import client
from hyper_mcu.device.client import Device
from hyper_mcu.device.emulated import FLASH, POWER_CUT
from hyper_mcu.device.seal import seal
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.weights import demo_photo

pytestmark = needs_emulator

PORTRAIT, TEAM = demo_photo("yaoming.jpg"), demo_photo("players.jpg")  # who is on the first is face 4 of the second
ASTRONAUT = Path(cli.__file__).parents[1] / "demo" / "astronaut.jpg"
MARKS = 40  # words of flash behind a person's own, at which the new one is there and the old one not erased yet


def enrolled(photo: Path, name: str) -> Person:
    """Whom a photo shows, by the shipped generator."""
    shipped = generator.load()
    e = enroll.embedding(face_crops(photo, None, "enrol")[0], shipped.backbone, enroll.Stopwatch())
    return enroll.person(name, e, shipped, enroll.Stopwatch())


def probe(photo: Path, face: str | None = None) -> NDArray[np.uint8]:
    """The crop of a face in a photo."""
    return np.ascontiguousarray(face_crops(photo, face, "probe")[0].pixels)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another photo of the astronaut, of whom there is but one: mirrored, and her head tilted."""
    path = tmp_path_factory.mktemp("photos") / "turned.png"
    with Image.open(ASTRONAUT) as photo:
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(6, Image.Resampling.BICUBIC).save(path)
    return path


def cut_while_loading(bench: Bench, sent: bytes, operations: int) -> None:
    """Switches the board on and sends somebody who replaces another; the power fails in the midst of that operation."""
    cut_power_after(bench.folder, operations)
    with bench.start() as running:
        with pytest.raises(UserError), bench.on(running) as device:
            device.load(sent, replace=True)
        assert running.wait(10) == POWER_CUT
    cut_power_after(bench.folder, None)


def test_two_people_are_let_in_and_strangers_not_before_and_after_power_cuts(
    images: Images, turned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACK", 0.0)  # nobody switches it on again
    man, woman, newer = enrolled(PORTRAIT, "man"), enrolled(ASTRONAUT, "woman"), enrolled(turned, "woman")
    his, hers, strangers = probe(TEAM, "4"), probe(turned), [probe(TEAM, "1"), probe(TEAM, "2")]
    bench, update = images(STM32, owner=man), seal(newer, KEY, 3)
    with bench.start() as running, Device(running.line, patience=PATIENCE) as device:
        device.set_key(KEY)
        for counter, (p, own) in enumerate(((man, his), (woman, hers)), 1):
            device.load(seal(p, KEY, counter))
            assert [agrees(device, p, crop) for crop in (own, *strangers)] == [True, False, False]
    before, found = (bench.folder / FLASH).read_bytes(), []
    for operations in (0, len(update) // 8, len(update) // 4 + MARKS):
        (bench.folder / FLASH).write_bytes(before)
        cut_while_loading(bench, update, operations)
        with bench.start() as running, bench.on(running) as device:
            found.append({e.name: e.counter for e in device.people()})
            assert found[-1].keys() == {"man", "woman"}
            there = newer if found[-1]["woman"] == 3 else woman
            assert [agrees(device, there, crop) for crop in (hers, his, strangers[0])] == [True, False, False]
            assert agrees(device, man, his)
    assert found == [{"man": 1, "woman": counter} for counter in (2, 2, 3)]
