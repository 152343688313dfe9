"""A Person: a QNet, its threshold and where it comes from. Never the photo."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import INT32_MAX, INT32_MIN
from hyper_mcu.codegen.qnet import QNet

TAKEN = ("from_blob", "hold")  # hm_person_from_blob and hm_weights_hold are functions of model.h
NAME_LENGTH = 47  # person.bin has 48 bytes for a name and a zero behind it


@dataclass(frozen=True)
class KnownAnswer:
    """Self-test: the image that `seed` generates (see `oracle.known_image`), its logit, its layers_sha256 (hex).

    Raises UserError for a seed that is no positive uint32, a logit that is no int32, a hash that is no SHA-256.
    """

    seed: int
    logit: int
    layers_sha256: str

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 < self.seed < 2**32:
            raise UserError("known answer", "seed", "1…2^32−1", self.seed)
        if type(self.logit) is not int or not INT32_MIN <= self.logit <= INT32_MAX:
            raise UserError("known answer", "logit", "an int32", self.logit)
        if not re.fullmatch("[0-9a-f]{64}", self.layers_sha256):
            raise UserError("known answer", "layers_sha256", "64 hexadecimal digits", repr(self.layers_sha256))


@dataclass(frozen=True)
class Provenance:
    """What made the net: tool version, backbone and generator by name and SHA-256 (hex).

    Raises UserError for words that do not print on one line.
    """

    tool: str
    backbone: str
    backbone_sha256: str
    generator: str
    generator_sha256: str

    def __post_init__(self) -> None:
        for what, text in asdict(self).items():
            _check_words("provenance", what, text)


@dataclass(frozen=True)
class Person:
    """One enrolled person.

    name: a C identifier of at most NAME_LENGTH characters, none of TAKEN; threshold: match iff logit ≥ threshold
    (int32); fmr, fnmr: the rates that the threshold stands for on the held-out people, 0…1, with `rates_on` saying
    which; score: the threshold as a cosine (CosDot) or a real logit (Dot). The threshold is above INT32_MIN, the logit
    of an image that CosDot cannot judge; words print on one line. Raises UserError.
    """

    name: str
    qnet: QNet
    threshold: int
    score: float
    fmr: float
    fnmr: float
    rates_on: str
    known: KnownAnswer
    provenance: Provenance

    def __post_init__(self) -> None:
        check_name("person", self.name)
        where = f"person {self.name}"
        if type(self.threshold) is not int or not INT32_MIN < self.threshold <= INT32_MAX:
            raise UserError(where, "threshold", "an int32 above INT32_MIN", self.threshold)
        for what, rate in (("fmr", self.fmr), ("fnmr", self.fnmr)):
            if not 0 <= rate <= 1:
                raise UserError(where, what, "a rate of 0…1", rate)
        if not math.isfinite(self.score):
            raise UserError(where, "score", "a finite number", self.score)
        _check_words(where, "rates_on", self.rates_on)


def check_name(where: str, name: str) -> None:
    """Raises UserError where `name` is no C identifier, is too long, or gives one that model.h has already."""
    if not (name.isidentifier() and name.isascii()):
        raise UserError(where, "name", "a C identifier of letters, digits and _", repr(name))
    if len(name) > NAME_LENGTH:
        raise UserError(where, "name", f"at most {NAME_LENGTH} characters", len(name))
    if name in TAKEN:
        raise UserError(where, "name", "another one, as model.h has a function of this name", name)


def _check_words(where: str, what: str, text: object) -> None:
    if not isinstance(text, str) or not text.isprintable():
        raise UserError(where, what, "printable text on one line", repr(text))
