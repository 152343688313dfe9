"""Evaluation sets: a pair list, the images that it names, and the faces in them, wherever a set keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain import data
from hyper_mcu.hypertrain.data import CROP, Faces, central
from hyper_mcu.hypertrain.data.crops import SIDES, picture, pool
from hyper_mcu.hypertrain.data.layout import table_of
from hyper_mcu.hypertrain.protocols import bins, cfp, lists, photos, places
from hyper_mcu.hypertrain.protocols.lists import Listed
from hyper_mcu.hypertrain.protocols.pairs import Pairs, tenths

LISTS = {  # the names that pair lists of a set are published under
    "lfw": ("pairs.txt",),
    "calfw": ("pairs_CALFW.txt",),
    "cplfw": ("pairs_CPLFW.txt",),
    "agedb": ("agedb_30_pair.txt", "agedb_30_pairs.txt"),
    "vgg2-fp": ("vgg2_fp_pair.txt", "vgg2_fp_pairs.txt"),
}
BINS = {  # InsightFace's names
    "lfw": "lfw.bin", "calfw": "calfw.bin", "cplfw": "cplfw.bin", "agedb": "agedb_30.bin", "vgg2-fp": "vgg2_fp.bin",
    "cfp FF": "cfp_ff.bin", "cfp FP": "cfp_fp.bin",
}  # fmt: skip
SETS = ("lfw", "calfw", "cplfw", "cfp", "agedb", "vgg2-fp", "pairs")


@dataclass(frozen=True)
class Failed:
    """Of how many distinct photos, and why each that failed did: (name, reason)."""

    photos: int
    reasons: tuple[tuple[str, str], ...]

    @property
    def rate(self) -> float:
        """Share of the photos that failed."""
        return len(self.reasons) / self.photos


@dataclass(frozen=True)
class EvalSet:
    """A set ready to be scored.

    faces: the images of the list that show one; faces.broken: those that are no whole picture. pairs: of images in
    `faces`, −1 where an image shows no face. enrollable: bool (N,), whether the product would enrol
    each image, or all of them where it was not asked. to_enrol: the failures among first images (no face, or refused);
    to_acquire: among second ones. pairs_sha256: of the pair list; crops_sha256: of the names and pixels of the images.
    """

    faces: Faces
    pairs: Pairs
    enrollable: NDArray[np.bool_]
    to_enrol: Failed
    to_acquire: Failed
    pairs_sha256: str
    crops_sha256: str

    def made(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Which of the pairs (P,), of this set or swapped, can be compared."""
        there = (pairs.enrol >= 0) & (pairs.probe >= 0)
        return there & self.enrollable[pairs.enrol]


@dataclass(frozen=True)
class _Images:
    """The faces of the images that have one, where each lies among them by its name in the list, and what is wrong with
    the others: {name: reason}."""

    faces: Faces
    at: dict[str, int]
    no_face: dict[str, str]
    no_enrolment: dict[str, str]


def load(
    name: str,
    root: Path,
    cache: Path,
    backbone: data.Embedder,
    *,
    protocol: str = "FF",
    pairs: Path | None = None,
    aligned: bool = False,
    quality: bool = False,
    progress: Progress = silent,
) -> EvalSet:
    """The set `name` (one of SETS) in `root`, a folder or a .bin file.

    protocol: of cfp, "FF" or "FP". pairs: the pair list; by default the one of the usual name beside the images.
    aligned: the images are crops of 112×112, or 128×128 with a margin; else photos that go through the product's
    detector and aligner. quality: with the checks of enrolment on first images, which are for photos. Raises UserError,
    naming file and line, for a list or an image that is missing or malformed.
    """
    if not root.exists():
        raise UserError(root, "no evaluation set", "a folder or a .bin file", "no such path")
    packed = root / BINS.get(f"cfp {protocol}" if name == "cfp" else name, "none.bin")
    in_bin = root.is_file() or (pairs is None and packed.is_file())
    in_shards = name == "cfp" and not in_bin and table_of(root) is not None
    if quality and (aligned or in_bin or in_shards):
        raise UserError("--quality", "checks of enrolment on crops", "photos", "--aligned" if aligned else "crops")
    if in_bin:
        if pairs is not None:
            raise UserError("--pairs", "a list for a .bin file, which has its own", "a folder, or no list", pairs)
        return _of_bin(root if root.is_file() else packed, cache, backbone, progress)
    if name == "cfp":
        listed, spelt = cfp.listed(root, protocol), places.in_cfp
        if pairs is not None:
            raise UserError("--pairs", "a list for cfp, which has its Protocol folder", "no list", pairs)
        if in_shards:
            return _assembled(listed, _of_shards(listed, root, cache, backbone, progress), False)
    else:
        listed, spelt = lists.read(pairs or _usual_list(name, root)), places.as_named
    progress("looking for the images of the list")
    paths = places.find(listed, root, spelt)
    made = _of_crops if aligned else _of_photos
    return _assembled(listed, made(paths, root, cache, backbone, progress), quality)


def _usual_list(name: str, root: Path) -> Path:
    for folder in (root, root.parent):
        for candidate in LISTS.get(name, ()):
            if (folder / candidate).is_file():
                return folder / candidate
    usual = " or ".join(LISTS.get(name, ()))
    raise UserError(root, "no pair list", "--pairs FILE" + (f", or {usual} beside the images" if usual else ""), "none")


def _of_photos(paths: dict[str, Path], root: Path, cache: Path, backbone: data.Embedder, progress: Progress) -> _Images:
    """The largest face of each photo."""
    seen = dict(zip(paths, photos.acquire(list(paths.values()), root, cache, progress), strict=True))
    crops = {name: p.pixels for name, p in seen.items() if p.pixels is not None}
    refused = {name: p.no_enrolment for name, p in seen.items() if p.no_enrolment}
    no_face = {name: p.no_face for name, p in seen.items() if p.no_face}
    broken = {name: p.no_face for name, p in seen.items() if p.broken}
    return _embedded(crops, no_face, refused, broken, root, cache, backbone, progress)


def _of_crops(paths: dict[str, Path], root: Path, cache: Path, backbone: data.Embedder, progress: Progress) -> _Images:
    """Images that are aligned already."""
    contents = {name: path.read_bytes() for name, path in paths.items()}
    crops, damaged = _decoded(contents, {name: str(path) for name, path in paths.items()}, progress)
    return _embedded(crops, damaged, {}, damaged, root, cache, backbone, progress)


def _decoded(
    contents: dict[str, bytes], where: dict[str, str], progress: Progress
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, str]]:
    """The central 112×112 of each encoded crop, and the damaged ones; raises UserError for one of another size."""

    def decode(name: str) -> NDArray[np.uint8] | str:
        try:
            size, pixels = picture(contents[name])
        except Exception as e:  # decoders raise whatever the damage makes of the data
            return f"damaged image ({type(e).__name__})"
        if pixels is None:
            sides = " or ".join(f"{s}×{s}" for s in SIDES)
            raise UserError(where[name], "no aligned crop", sides, f"{size[0]}×{size[1]}")
        return np.ascontiguousarray(central(pixels))

    progress(f"decoding {len(contents)} crops")
    found = dict(zip(contents, pool().map(decode, contents), strict=True))
    crops = {name: v for name, v in found.items() if not isinstance(v, str)}
    return crops, {name: v for name, v in found.items() if isinstance(v, str)}


def _embedded(
    crops: dict[str, NDArray[np.uint8]],
    no_face: dict[str, str],
    no_enrolment: dict[str, str],
    broken: dict[str, str],
    root: Path,
    cache: Path,
    backbone: data.Embedder,
    progress: Progress,
) -> _Images:
    names = np.array(list(crops))
    pixels = np.stack(list(crops.values())) if crops else np.empty((0, CROP, CROP, 3), np.uint8)
    if not len(pixels):
        name, reason = next(iter(no_face.items()))
        raise UserError(name, "no image with a face", "some", f"{len(no_face)} without: {reason}")
    faces = data.of_crops(pixels, names, root, cache, backbone, progress)
    faces = replace(faces, broken=tuple(broken.items()))
    return _Images(faces, {name: i for i, name in enumerate(crops)}, no_face, no_enrolment)


def _of_shards(listed: Listed, root: Path, cache: Path, backbone: data.Embedder, progress: Progress) -> _Images:
    """CFP as shards of crops with a table."""
    named = {name for name, _ in listed.images}
    faces = data.load(
        root, cache, backbone, kind="shards", progress=progress, wanted=lambda name: cfp.photo(name) in named
    )
    at = {cfp.photo(name): i for i, name in enumerate(faces.names.tolist())}
    return _Images(faces, at, {cfp.photo(name): why for name, why in faces.broken}, {})


def _of_bin(path: Path, cache: Path, backbone: data.Embedder, progress: Progress) -> EvalSet:
    progress(f"reading {path.name}")
    encoded, same = bins.read(path)
    digests = [hashlib.sha256(content).hexdigest() for content in encoded]
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}  # an image may stand there many times
    names = [f"image {first[digest]}" for digest in digests]
    contents = dict(zip(names, encoded, strict=True))
    crops, damaged = _decoded(contents, {name: f"{path} {name}" for name in contents}, progress)
    listed = Listed(
        names[::2], names[1::2], same, tenths(same), [f"{path} pair {i}" for i in range(len(same))],
        hashlib.sha256(repr((digests, same.tolist())).encode()).hexdigest(),
    )  # fmt: skip
    return _assembled(listed, _embedded(crops, damaged, {}, damaged, path, cache, backbone, progress), False)


def _assembled(listed: Listed, images: _Images, quality: bool) -> EvalSet:
    """The pairs of the list among the images; raises UserError for one that is neither there nor without a face."""
    at = images.at
    for name, where in listed.images:
        if name not in at and name not in images.no_face:
            raise UserError(where, f"no photo {name}", "every photo of the list", f"{len(at)} photos")
    enrol, probe = (np.array([at.get(n, -1) for n in names]) for names in (listed.first, listed.second))
    pairs = Pairs(enrol, probe, listed.same, listed.fold)
    refused = images.no_enrolment if quality else {}
    enrollable = np.ones(len(images.faces.names), bool)
    enrollable[[at[n] for n in refused if n in at]] = False

    def failures(names: list[str], why: dict[str, str]) -> Failed:
        distinct = sorted(set(names))
        return Failed(len(distinct), tuple((n, why[n]) for n in distinct if n in why))

    return EvalSet(
        images.faces,
        pairs,
        enrollable,
        failures(listed.first, {**refused, **images.no_face}),
        failures(listed.second, images.no_face),
        listed.sha256,
        _crops_sha256(images.faces, np.unique(np.concatenate([enrol, probe]))),
    )


def _crops_sha256(faces: Faces, rows: NDArray[np.int64]) -> str:
    """Hash of the names and the central pixels of the images that pairs use, by name."""
    h = hashlib.sha256()
    rows = rows[rows >= 0]
    rows = rows[np.argsort(faces.names[rows], kind="stable")]
    for i in range(0, len(rows), 256):
        block = rows[i : i + 256]
        for name, crop in zip(faces.names[block], np.ascontiguousarray(central(faces.crops[block])), strict=True):
            h.update(str(name).encode() + b"\0" + crop.tobytes())
    return h.hexdigest()
