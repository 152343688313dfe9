"""What a camera's format and a guide cost: scores of device crops beside those of the product's crops of the photos.

For each person of a folder PERSON-KIND-NO.jpg: enrols the first frontal photo and asks about the person's other frontal
photos (genuine) and about the last one of others (impostor). Each of these photos is cropped as a photo, and then as a
device would, from a frame of each format by landmarks in 1/16 pixel, and by a guide that is off, with a search and
without. The crops are the twin's, which are the device's byte by byte (tests/firmware/test_image.py).

    python benchmarks/camera.py --photos FACES/raw --save benchmarks/results/camera.json
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from record import about

from hyper_mcu import enroll, generator
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import session_bytes
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import compile_library, find_toolchain
from hyper_mcu.device import image
from hyper_mcu.device.image import Search
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.align import apply, warp_of
from hyper_mcu.faces.photo import read_photo

FMRS = (1e-1, 1e-2, 1e-3)  # that thresholds are set for
RATES = (0.1, 0.05, 0.02)  # of others, at which ways are compared whatever their thresholds
FORMATS = ("rgb888", "rgb565-big", "yuyv", "grey")
SEARCHES = {  # of 9 and 27 verifications
    "guide, shifts": Search(shifts=1, shift=6),
    "guide, shifts and sizes": Search(shifts=1, scales=1, shift=6, scale=6),
}
# crop pixels in x and in y, and part of the size, that a face is off the guide: uniform, to both sides
OFF = (6.0, 0.1)


@dataclass(frozen=True)
class Shown:
    """A photo's crops: by the name of the way, uint8 (tries, 112, 112, 3)."""

    ways: dict[str, NDArray[np.uint8]]
    halvings: int


@dataclass(frozen=True)
class Asked:
    """A probe's best logits and cosines by way; whose it is; the owner's thresholds for FMRS."""

    logits: dict[str, int]
    cosines: dict[str, float]
    genuine: bool
    thresholds: tuple[int, ...]


def shown(photo: Path, seed: int) -> Shown:
    """Every way to crop the only or largest face of a photo."""
    picture = read_photo(photo)
    picture = np.ascontiguousarray(picture[:, : picture.shape[1] // 2 * 2])  # YUV has pairs
    height, width = picture.shape[:2]
    marks = face_crops(photo, "largest", "probe")[0].face.landmarks
    warp = warp_of(marks, height, width)
    told = image.warp_of_landmarks(width, height, image.points(marks))
    ways = {"photo": apply(warp, picture)[None]}
    for kind in FORMATS:
        ways[kind] = image.crop(image.frame_of(picture, kind), kind, told)[None]
    seen = image.rgb_of(image.frame_of(picture, "rgb565-big"), "rgb565-big")
    rng = np.random.default_rng(seed)
    eyes, middle = float(np.hypot(*(marks[1] - marks[0]))), marks[:2].mean(0)
    moved = middle + rng.uniform(-OFF[0], OFF[0], 2) * eyes / 35.24
    for name, centre, size in (
        ("guide, exactly there", middle, eyes),
        ("guide", moved, eyes * (1 + rng.uniform(-OFF[1], OFF[1]))),
    ):
        x, y = (round(16 * float(v)) for v in centre)
        start = image.warp_of_guide(width, height, (x, y), round(16 * size))
        ways[name] = apply(start, seen)[None]
    for name, search in SEARCHES.items():
        ways[name] = np.stack([apply(w, seen) for w in image.tries(start, search)])
    return Shown(ways, told.halvings)


class Engine:
    """The C of f, compiled for this machine, asked in this process."""

    def __init__(self, person: Person, folder: Path) -> None:
        source = folder / "engine.c"
        source.write_text("#define HYPER_MCU_IMPLEMENTATION\n" + emit_engine(person), encoding="ascii")
        compile_library(source, folder / "engine.so", find_toolchain(TARGETS["host"]))
        self.library = ctypes.CDLL(str(folder / "engine.so"))
        self.session = ctypes.create_string_buffer(session_bytes(person.qnet.spec))

    def best(self, person: Person, crops: NDArray[np.uint8]) -> int:
        """The largest logit of crops uint8 (N, 112, 112, 3)."""
        data = pack(person)
        blob, known, logits = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(64), []
        made = self.library.hm_person_from_blob(blob, ctypes.c_size_t(len(data)), known)
        if made or self.library.hm_known_answer(self.session, known):
            raise UserError("person.bin", "refused by hm_person_from_blob, or another known answer")
        for crop in crops:
            verdict = (ctypes.c_int32 * 4)()
            if self.library.hm_verify(self.session, known, np.ascontiguousarray(crop).tobytes(), verdict):
                raise UserError("crop", "refused by hm_verify")
            logits.append(int(verdict[0]))
        return max(logits)


def asked(people: dict[str, list[Path]], photos: dict[Path, Shown], everybody: int, folder: Path) -> Iterator[Asked]:
    """All probes of all people. everybody: how many others are asked about with each person."""
    g, names, engine = generator.load(), sorted(people), None
    for i, name in enumerate(names):
        try:
            e = enroll.embedding(face_crops(people[name][0], "largest", "enrol")[0], g.backbone, enroll.Stopwatch())
        except UserError as error:
            print(error, file=sys.stderr)
            continue
        persons = [enroll.person("p", e, g, enroll.Stopwatch(), fmr) for fmr in FMRS]
        thresholds = tuple(p.threshold for p in persons)
        engine = engine or Engine(persons[0], folder)
        others = [people[names[(i + k) % len(names)]][-1] for k in range(1, everybody + 1)]
        for genuine, probes in ((True, people[name][1:]), (False, others)):
            for photo in (p for p in probes if p in photos):
                logits = {way: engine.best(persons[0], crops) for way, crops in photos[photo].ways.items()}
                cosines = {way: persons[0].qnet.score(logit) for way, logit in logits.items()}
                yield Asked(logits, cosines, genuine, thresholds)
        print(f"{name}: {i + 1} of {len(names)}", file=sys.stderr)


def eer(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """Where as many of the same person are rejected as others accepted, in per cent; the mean of both rates there."""
    at = np.unique(np.concatenate([genuine, impostor]))
    rejected = np.array([(genuine < t).mean() for t in at])
    accepted = np.array([(impostor >= t).mean() for t in at])
    i = int(np.argmin(abs(rejected - accepted)))
    return float(50 * (rejected[i] + accepted[i]))


def accepted_at(genuine: NDArray[np.float64], impostor: NDArray[np.float64], rate: float) -> int:
    """How many of the same person score above all but that part of the others."""
    return int((genuine > np.sort(impostor)[::-1][int(rate * len(impostor))]).sum())


def row(way: str, answers: list[Asked]) -> dict[str, object]:
    """The figures of a way."""
    score, photo = (np.array([a.cosines[name] for a in answers]) for name in (way, "photo"))
    own = np.array([a.genuine for a in answers])
    match = np.array([[a.logits[way] >= t for t in a.thresholds] for a in answers])
    as_photo = np.array([[a.logits["photo"] >= t for t in a.thresholds] for a in answers])
    return {
        "way": way,
        "eer_percent": round(eer(score[own], score[~own]), 2),
        "cosine_difference_mean": round(float(abs(score - photo).mean()), 4),
        "cosine_difference_max": round(float(abs(score - photo).max()), 4),
        "own_accepted": match[own].sum(0).tolist(),
        "others_accepted": match[~own].sum(0).tolist(),
        "own_accepted_at_equal_rates": [accepted_at(score[own], score[~own], rate) for rate in RATES],
        "other_verdicts_than_photo": (match != as_photo).sum(0).tolist(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Scores of device crops beside those of photos.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--others", type=int, default=12, help="strangers asked about for each person")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    people: dict[str, list[Path]] = {}
    for photo in sorted(o.photos.glob("*-frontal-*.jpg")):
        people.setdefault(photo.name.split("-")[0], []).append(photo)
    photos, refused = dict[Path, Shown](), list[str]()
    for i, photo in enumerate(p for files in people.values() for p in files[1:]):
        try:
            photos[photo] = shown(photo, i)
        except UserError as error:
            refused.append(error.what)
    worst = max(int(abs(s.ways["photo"].astype(int) - s.ways["rgb888"]).max()) for s in photos.values())
    with tempfile.TemporaryDirectory() as folder:
        answers = list(asked(people, photos, min(o.others, len(people) - 1), Path(folder)))
    own = sum(a.genuine for a in answers)
    rows = [row(way, answers) for way in answers[0].logits]
    print(
        f"{len(people)} people, {own} probes of the same person, {len(answers) - own} of others; thresholds for {FMRS}"
    )
    print(f"RGB crops by landmarks in 1/16 pixel differ by {worst} of 255 at most; halvings", halvings(photos))
    for r in rows:
        print("  ".join(f"{k} {v}" for k, v in r.items()))
    if o.save:
        figures = {
            "generator_sha256": generator.load().sha256,
            "people": len(people),
            "genuine": own,
            "impostor": len(answers) - own,
            "fmrs": FMRS,
            "off": OFF,
        }
        figures |= {"halvings": halvings(photos), "largest_pixel_difference": worst, "refused": refused, "ways": rows}
        o.save.write_text(json.dumps({**about(o.photos.parent), **figures}, indent=2) + "\n")
    return 0


def halvings(photos: dict[Path, Shown]) -> list[int]:
    """How many photos were halved 0, 1, 2 … times."""
    counts: list[int] = np.bincount([s.halvings for s in photos.values()]).tolist()
    return counts


if __name__ == "__main__":
    sys.exit(main())
