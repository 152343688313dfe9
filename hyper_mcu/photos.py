"""The photos that a person is enrolled from: whether each is good enough, and whether all show the same person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyper_mcu.enroll import Clock
    from hyper_mcu.faces import Crop
    from hyper_mcu.faces.backbone import Backbone


@dataclass(frozen=True)
class Photo:
    """A photo to enrol from: its crop, what the backbone's `enrol` gives of it, e float32 (1, size), and `norm`.

    overridden: what would have refused it, had it not been told not to.
    """

    path: Path
    crop: Crop
    e: NDArray[np.float32]
    norm: float
    overridden: tuple[UserError, ...]


def look(path: Path, crop: Crop, backbone: Backbone, *, force: bool = False) -> Photo:
    """The Photo of a crop. Raises UserError, without `force`, where the backbone sees too little of a face in it."""
    from hyper_mcu.faces.quality import Judge, check_norm

    judge = Judge(force)
    e, norms = backbone.enrol_and_norm(crop.pixels[None])
    judge(check_norm, float(norms[0]), backbone.limits.norm, path)
    return Photo(path, crop, e, float(norms[0]), (*crop.overridden, *judge.overridden))


def of_person(
    paths: Sequence[Path],
    crops_in: Callable[[Path], tuple[Crop, ...]],
    backbone: Backbone,
    clock: Clock,
    *,
    force: bool,
) -> tuple[list[Photo], list[UserError]]:
    """The photos of one person, and why some are refused: then the others are of no use either."""
    photos, refused = list[Photo](), list[UserError]()
    for path in paths:
        try:
            (crop,) = crops_in(path)
            clock("find and align the face")
            photos.append(look(path, crop, backbone, force=force))
            clock("embed")
        except UserError as e:
            refused.append(e)
    if refused:
        return photos, refused
    why = strangers(photos, backbone)
    if not force:
        return photos, [why[i] for i in sorted(why)]
    return [replace(p, overridden=(*p.overridden, *([why[i]] if i in why else []))) for i, p in enumerate(photos)], []


def strangers(photos: Sequence[Photo], backbone: Backbone) -> dict[int, UserError]:
    """Which of the photos of one person do not show who the others show, by their places, and why.

    While the least cosine between a photo and the mean of the others is below the backbone's limit, that photo goes: a
    stranger's lowers those of the others, but not as far as its own. Of two that differ neither is known to be right.
    """
    import numpy as np

    left, found = list(range(len(photos))), dict[int, UserError]()
    while len(left) > 1 and backbone.limits.agree:
        e = np.concatenate([photos[i].e[:, : backbone.dimension] for i in left])
        others = e.sum(0) - e
        cosines = (e * others).sum(1) / np.linalg.norm(others, axis=1)
        if cosines.min() >= backbone.limits.agree:
            break
        pair = len(left) == 2
        for k in (0, 1) if pair else (int(cosines.argmin()),):
            what = f"shows another person than {photos[left[1 - k]].path if pair else 'the others'}"
            want = f"a cosine of at least {backbone.limits.agree:.2f}" + ("" if pair else " to their mean")
            found[left[k]] = UserError(photos[left[k]].path, what, want, f"{cosines[k]:.2f}")
        left = [i for i in left if i not in found]
    return found
