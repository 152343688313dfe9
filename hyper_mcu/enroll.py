"""Enrolment: photo → crop → embedding → θ → integers → Person, one function from one value to the next."""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu import __version__
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import NAME_LENGTH, TAKEN, KnownAnswer, Person, Provenance, check_name
from hyper_mcu.generator import Generator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyper_mcu.codegen.qnet import QNet
    from hyper_mcu.codegen.rates import Operating
    from hyper_mcu.cohort import Cohort
    from hyper_mcu.device.keys import Key
    from hyper_mcu.faces import Crop

KNOWN_SEED = 0x48594D43  # of the known-answer image; any non-zero number
SEVERAL = ", each enrolled from one photo: from several photos a net lets more strangers pass"
Clock = Callable[[str], None]


class Stopwatch:
    """Seconds by step: call it with the name of the step that has just ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


def c_name(stem: str) -> str:
    """A C identifier from a file's stem, of at most NAME_LENGTH characters.

    Letters lose their accents; what has no ASCII form then becomes u and its code point; the rest is _. What is too
    long ends in the first digits of its SHA-256.

    >>> c_name("Jürgen Groß-2"), c_name("007"), c_name("張偉"), c_name("hold")
    ('jurgen_gross_2', 'p_007', 'u5f35_u5049', 'p_hold')
    """
    spelt = "".join(_ascii(c) for c in unicodedata.normalize("NFC", stem))
    name = re.sub(r"[^a-z0-9]+", "_", spelt).strip("_") or "owner"
    name = name if name[0].isalpha() and name not in TAKEN else f"p_{name}"
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _ascii(c: str) -> str:
    """A character in small letters and without accents, or its code point where no ASCII is left of it then."""
    small = c.casefold()
    plain = "".join(p for p in unicodedata.normalize("NFKD", small) if not unicodedata.combining(p))
    return plain.lower() if plain and plain.isascii() else "".join(f"_u{ord(s):04x}_" for s in small)


def embedding(crop: Crop, backbone: str, clock: Clock) -> NDArray[np.float32]:
    """Embedding float32 (1, d), by that backbone, of a crop: the mean over it and its mirror image."""
    from hyper_mcu.faces import backbone as h_bb

    e = h_bb.backbone(backbone).enrol(crop.pixels[None])
    clock("embed")
    return e


@dataclass(frozen=True)
class Threshold:
    """A person's threshold: a real score, what it stands for, and how many strangers the net was asked about before it
    was set, with how many of them reach it."""

    score: float
    point: Operating
    strangers: int = 0
    matches: int = 0

    @property
    def bound(self) -> float:
        """What the FMR of this very net is no more than (95 %), by those strangers alone."""
        from hyper_mcu.codegen.rates import clopper_pearson

        return clopper_pearson(self.matches, self.strangers)[1] if self.strangers else 1.0


def net(e: NDArray[np.float32], generator: Generator, clock: Clock, key: Key | None = None) -> QNet:
    """The integer net of an embedding e float32 (1, d); key: by which its channels are permuted (codegen/permute.py),
    each net's in an order of its own."""
    from hyper_mcu.codegen.quantize import quantize

    theta = generator.weights(e)[0]
    clock("generate")
    qnet = quantize(generator.spec, theta, generator.scales)
    clock("quantise")
    if key is not None:
        from hyper_mcu.codegen.permute import permuted
        from hyper_mcu.device.keys import PERMUTE

        qnet = permuted(qnet, key.derived(PERMUTE, bytes.fromhex(qnet.sha256())))
        clock("permute")
    return qnet


def threshold(
    qnet: QNet, e: NDArray[np.float32], generator: Generator, point: Operating, cohort: Cohort | None, clock: Clock
) -> Threshold:
    """The threshold of a net at an operating point, on the scale of what strangers score on it: guessed from the
    embedding e float32 (1, d), and corrected by the cohort where there is one."""
    import numpy as np

    seen = np.empty(0)
    if cohort is not None:
        seen = cohort.scores(qnet, e[0])
        clock("ask about the cohort")
    mean, sd = generator.rates.strangers.moments(e[0], seen)
    score = mean + point.z * sd
    if generator.spec.head.kind == "cosdot":
        score = min(max(score, -1.0), 1.0)
    return Threshold(score, point, len(seen), int((seen >= score).sum()))


def person(name: str, e: NDArray[np.float32], generator: Generator, clock: Clock, fmr: float | None = None) -> Person:
    """The Person of an embedding e float32 (1, d) at that false match rate (`Curve.at`), no cohort asked about."""
    qnet = net(e, generator, clock)
    return named(name, qnet, threshold(qnet, e, generator, generator.rates.at(fmr), None, clock), generator, clock)


def named(name: str, qnet: QNet, at: Threshold, generator: Generator, clock: Clock, photos: int = 1) -> Person:
    """The Person of a net and its threshold; photos: from how many it was enrolled."""
    from hyper_mcu.codegen import oracle
    from hyper_mcu.faces.backbone import backbone

    known = oracle.run(qnet, oracle.known_image(generator.spec, KNOWN_SEED))
    clock("known answer")
    made_by = Provenance(
        f"hyper-mcu {__version__}",
        backbone(generator.backbone).name,
        generator.backbone_sha256,
        generator.path.stem,
        generator.sha256,
    )
    return Person(
        name=name,
        qnet=qnet,
        threshold=qnet.threshold(at.score),
        score=at.score,
        fmr=at.point.fmr,
        fnmr=at.point.fnmr,
        rates_on=generator.rates.on(cohort=at.strangers > 0) + (SEVERAL if photos > 1 else ""),
        known=KnownAnswer(KNOWN_SEED, known.logit, known.layers_sha256),
        provenance=made_by,
    )


def names(photos: list[Path], name: str | None) -> list[str]:
    """The person of each photo: `name`, or a C identifier made of the file's name.

    Raises UserError for one name for several photos and for a name that is no C identifier.
    """
    if name is None:
        return [c_name(p.stem) for p in photos]
    if len(photos) > 1:
        raise UserError("--name", "one name for several photos", "one photo", len(photos))
    check_name("--name", name)
    return [name]


def destinations(people: list[str], out: Path, form: str | None) -> list[Path]:
    """The file of each person: `out` itself (one person, a name ending in .h or .bin), or `out`/NAME.h in a folder.

    form: "h" or "bin", or None: h in a folder, else what `out` ends in. Raises UserError before anything is computed
    where a file could not be written, is of another form, or two would be the same.
    """
    from hyper_mcu.codegen.files import check_place
    from hyper_mcu.codegen.person_file import SUFFIXES

    if out.is_dir():
        targets = [out / f"{name}.{form or 'h'}" for name in people]
    elif len(people) > 1:
        raise UserError(out, "several photos", "--out naming an existing folder", "a file or nothing")
    elif out.suffix not in SUFFIXES:
        raise UserError(out, "output", f"a name ending in {' or '.join(SUFFIXES)}", repr(out.name))
    elif form and out.suffix != f".{form}":
        raise UserError("--format", "another one than --out has", out.suffix[1:], form)
    else:
        targets = [out]
    for t in targets:
        check_place(t)
        if targets.count(t) > 1:
            raise UserError(
                t,
                "two people of one name",
                "photos whose names differ in letters or digits",
                f"{targets.count(t)} of them",
            )
    return targets
