"""Asking a device about a photo: the host aligns the face, the device judges; what a host knows of the person is held
against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kernels.kernel import describe
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.progress import Progress
from hyper_mcu.device.client import Device, Entry, Info, Verdict, first_difference, layer_crcs
from hyper_mcu.faces import Crop


@dataclass(frozen=True)
class Asked:
    """A device's verdict on a photo: on the face that is furthest above the threshold, of all that were compared.

    entry: whose it is, as the device has them. stack: bytes, 0: not known. person, result: as the host has them, None
    where it was given no model; layers: whether every layer of the device was compared with that result, or the logit
    alone.
    """

    crop: Crop
    compared: int
    verdict: Verdict
    info: Info
    entry: Entry | None
    stack: int
    person: Person | None
    result: oracle.Result | None
    layers: bool


def ask(
    device: Device, crops: Sequence[Crop], name: str, person: Person | None, model: Path | None, progress: Progress
) -> Asked:
    """Asks about every crop whether it shows `name`, or "" who of all people on the device. person: theirs as the host
    has them in `model`, whose oracle must agree.

    Raises UserError where device and oracle differ, and where the device refuses.
    """
    info = device.info()
    layers = bool(person and info.selftest)
    verdicts = []
    for n, crop in enumerate(crops, 1):
        progress(f"asking {info.board}: {n} of {len(crops)}")
        verdicts.append(device.verify(np.ascontiguousarray(crop.pixels), name, layers=layers))
    best = max(range(len(crops)), key=lambda i: verdicts[i].logit - verdicts[i].threshold)
    result = None
    if person:
        progress("checking against the oracle")
        for crop, verdict in zip(crops, verdicts, strict=True):
            check(person, oracle.run(person.qnet, crop.pixels), verdict, f"{model} on {device.port}")
        result = oracle.run(person.qnet, crops[best].pixels)
    verdict = verdicts[best]
    entry = next((e for e in device.people() if e.name == verdict.name), None)
    return Asked(crops[best], len(crops), verdict, info, entry, device.info().stack, person, result, layers)


def check(person: Person, expected: oracle.Result, verdict: Verdict, where: str) -> None:
    """Raises UserError where a verdict on `person` is not the oracle's, and names the first layer that differs."""
    want, got = (expected.logit, person.threshold), (verdict.logit, verdict.threshold)
    if verdict.layers:
        at = first_difference(verdict.layers, layer_crcs(expected))
        if at is not None:
            layer = f"layer {at}, {describe(person.qnet.spec.stages[at])}"
            raise UserError(where, f"{layer}, differs from the oracle", f"logit {want[0]}", got[0])
    if want != got:
        texts = (f"logit {logit}, threshold {threshold}" for logit, threshold in (want, got))
        raise UserError(where, "the person on the device is another; hyper-mcu send --replace", *texts)
