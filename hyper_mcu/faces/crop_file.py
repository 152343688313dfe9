"""An aligned crop as a file, nothing lossy: the 112·112·3 bytes that hm_verify takes, RGB row by row, or a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RAW = (".rgb", ".bin")
SUFFIXES = (*RAW, ".png")


def check_suffix(path: Path) -> None:
    """Raises UserError where the name does not end in one of SUFFIXES: no file is named what it is not."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(path, "crop", f"a name ending in {' or '.join(SUFFIXES)}", repr(path.name))


def encoded(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """The bytes of a file of that suffix, one of SUFFIXES, that holds a crop uint8 (112, 112, 3) RGB."""
    if suffix.lower() in RAW:
        return pixels.tobytes()
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    return picture.getvalue()
