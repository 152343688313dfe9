"""A cohort: photos of strangers that a new net is asked about, so that its threshold is set for the very person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.faces.align import SIDE
from hyper_mcu.faces.crop_file import RAW
from hyper_mcu.faces.crops import Crop, aligned_crop, face_crops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyper_mcu.codegen.qnet import QNet
    from hyper_mcu.faces.backbone import Backbone

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".heic", ".heif", *RAW)
COPY = 0.999  # cosine of a picture and its copy
Track = Callable[[list[Path], str], Iterable[Path]]


@dataclass(frozen=True)
class Cohort:
    """Faces of strangers, one of each: crops uint8 (N, 112, 112, 3) RGB and their embeddings float32 (N, d); left_out:
    why pictures of the folder are of no use, a line each; same: the cosine from which on two embeddings are taken for
    one person's; more: faces of the folder that are so like one of these; least: how many strangers it takes. Raises
    UserError where it has fewer."""

    folder: Path
    crops: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    left_out: tuple[str, ...]
    same: float
    more: int
    least: int

    def __post_init__(self) -> None:
        self._check(len(self.crops), "people")

    def _check(self, count: int, what: str) -> None:
        if count < self.least:
            want = f"at least {self.least} {what}, as many as the rates were measured with"
            got = f"{count}, and faces too like one of these: {self.more}" if self.more else f"{count}"
            if self.left_out:
                got += f"; pictures of no use: {len(self.left_out)}, the first {self.left_out[0]}"
            raise UserError(self.folder, "cohort", want, got)

    def strangers(self, e: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of them are not the person of embedding e (d or more,): bool (N,)."""
        others: NDArray[np.bool_] = self.embeddings @ e[: self.embeddings.shape[1]] < self.same
        return others

    def scores(self, qnet: QNet, e: NDArray[np.float32]) -> NDArray[np.float64]:
        """Real scores (n,) that the strangers among them have on the net of embedding e. Raises UserError where too few
        are left without the person's own faces."""
        import numpy as np

        others = self.strangers(e)
        self._check(int(others.sum()), "people other than the one enrolled")
        return np.array([qnet.score(logit) for logit in logits(qnet, self.crops[others])])


def logits(qnet: QNet, images: NDArray[np.uint8]) -> list[int]:
    """What a net says of images: by compiled C, or where there is no compiler by the oracle, which takes longer."""
    from hyper_mcu.codegen import engine, oracle

    try:
        return [int(logit) for logit in engine.logits([qnet] * len(images), images)]
    except MissingToolError:
        return [oracle.run(qnet, image).logit for image in images]


def _crops(path: Path) -> tuple[Crop, ...]:
    """The crop that a picture is, or the faces that it shows."""
    try:
        return (aligned_crop(path, "probe"),)
    except UserError:
        if path.suffix.lower() in RAW:
            raise
        return face_crops(path, "any", "probe")


def read(folder: Path, backbone: Backbone, least: int, track: Track) -> Cohort:
    """The cohort in a folder and in those under it: the faces in its photos, of each person the first; a picture of
    112×112 or of 128×128 pixels is a crop already. Raises UserError where there are fewer than `least` people."""
    import numpy as np
    from numpy.typing import NDArray

    if not folder.is_dir():
        raise UserError(folder, "no cohort", "a folder of photos of strangers", "a file" if folder.exists() else "none")
    found, left_out = list[NDArray[np.uint8]](), list[str]()
    for path in track(sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES), "cohort"):
        try:
            found += [crop.pixels for crop in _crops(path)]
        except UserError as e:
            left_out.append(str(e))
    crops = np.stack(found) if found else np.empty((0, SIDE, SIDE, 3), np.uint8)
    embeddings = backbone.enrol(crops)[:, : backbone.dimension]
    same = backbone.limits.same or COPY
    people = distinct(embeddings, same)
    more = len(crops) - len(people)
    return Cohort(folder, crops[people], embeddings[people], tuple(left_out), same, more, least)


def distinct(embeddings: NDArray[np.float32], same: float) -> NDArray[np.int64]:
    """Rows (P,) of unit embeddings (N, d): each whose cosine to all of them before it is below `same`."""
    import numpy as np

    found = np.empty((0, embeddings.shape[1]), np.float32)
    rows = list[int]()
    for i, e in enumerate(embeddings):
        if not (found @ e >= same).any():
            found, rows = np.concatenate([found, e[None]]), [*rows, i]
    return np.array(rows, np.int64)
