"""What is said to a device and what it answers: requests put together by hand, error codes, verdicts of the oracle."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
from devices import CROP, KEY
from people import Person

from hyper_mcu.codegen import oracle
from hyper_mcu.device.client import Device, answered, first_difference, layer_crcs
from hyper_mcu.device.codes import Code
from hyper_mcu.device.frames import Request

DEVICE = Path(__file__).parents[3] / "firmware" / "device"
TEXTS: dict[str, str] = dict(
    re.findall(r'case HM_(?:CODE_)?(\w+):\n +return "(.*)";', (DEVICE / "hm_code.c").read_text(encoding="ascii"))
)


def ask(device: Device, request: int, payload: bytes = b"") -> bytes:
    """The whole payload of a response."""
    return device.talk.ask(request, payload)  # type: ignore[arg-type]


def tagged(device: Device, request: Request, payload: bytes) -> bytes:
    """The payload of a request under a challenge that the device was asked for."""
    return answered(KEY, ask(device, Request.CHALLENGE)[1:], request, payload)


def refusal(code: Code, said: bytes = b"") -> bytes:
    """The whole payload of a refusal: the code, what the protocol has behind it, the device's own words."""
    return bytes([code]) + said + TEXTS[code.name].encode("ascii")


def name_of(name: str) -> bytes:
    return struct.pack("48s", name.encode())


def saying(code: Code) -> str:
    """A pattern of the error that this code of a device becomes."""
    return rf"{code.name} \({code.value}\)$"


def check(device: Device, p: Person, image: np.ndarray = CROP) -> None:
    """Every layer and the verdict are the oracle's."""
    said, want = device.verify(image, p.name, layers=True), oracle.run(p.qnet, image)
    assert first_difference(said.layers, layer_crcs(want)) is None
    assert (said.name, said.logit, said.threshold) == (p.name, want.logit, p.threshold)
    assert said.match == (want.logit >= p.threshold)
    assert len(said.profile) == len(said.layers)
    assert all(said.profile)
    assert sum(said.profile) <= said.cycles
