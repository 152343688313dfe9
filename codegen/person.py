"""A Person: a QNet, its threshold and where it comes from. Never the photo."""

from __future__ import annotations

from dataclasses import dataclass

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.qnet import QNet


@dataclass(frozen=True)
class KnownAnswer:
    """Self-test: the image that `seed` generates (see `oracle.known_image`), its logit, its layers_sha256 (hex)."""

    seed: int
    logit: int
    layers_sha256: str


@dataclass(frozen=True)
class Provenance:
    """What made the net: tool version, backbone and generator by name and SHA-256 (hex)."""

    tool: str
    backbone: str
    backbone_sha256: str
    generator: str
    generator_sha256: str


@dataclass(frozen=True)
class Person:
    """One enrolled person.

    name: a C identifier; threshold: match iff logit ≥ threshold (int32); fmr, fnmr: the rates that the threshold stands
    for on the held-out people, 0…1, with `rates_on` saying which; score: the threshold as a cosine (CosDot) or a real
    logit (Dot).
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
        if not (self.name.isidentifier() and self.name.isascii()):
            raise UserError("person", "name", "a C identifier of letters, digits and _", repr(self.name))
        if not -(2**31) < self.threshold < 2**31:
            raise UserError(f"person {self.name}", "threshold", "an int32 above INT32_MIN", self.threshold)
