"""An aligned crop as a file: written as the 112·112·3 bytes that hm_verify takes, RGB row by row, or as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.files import read
from hyper_mcu.faces.align import SIDE
from hyper_mcu.faces.photo import read_photo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RAW = (".rgb", ".bin")
SUFFIXES = (*RAW, ".png")
BYTES = SIDE * SIDE * 3
MARGIN = 8  # pixels around a crop of 128×128, as data sets have them
SIZES = tuple((side, side) for side in (SIDE, SIDE + 2 * MARGIN))  # of pictures that are crops, height and width


def check_suffix(path: Path) -> None:
    """Raises UserError where the name does not end in one of SUFFIXES: no file is named what it is not."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(path, "crop", f"a name ending in {' or '.join(SUFFIXES)}", repr(path.name))


def decoded(path: Path) -> NDArray[np.uint8]:
    """The crop uint8 (112, 112, 3) RGB in a file: its bytes (RAW), or any picture, of 128×128 the central 112×112.

    Raises UserError for a file that cannot be read or is of another size.
    """
    import numpy as np

    if path.suffix.lower() in RAW:
        data = read(path, "an aligned crop")
        if len(data) != BYTES:
            raise UserError(path, "not a crop", f"{BYTES:,} bytes, {SIDE}·{SIDE} pixels in RGB", f"{len(data):,}")
        return np.frombuffer(data, np.uint8).reshape(SIDE, SIDE, 3)
    image = read_photo(path)
    height, width = image.shape[:2]
    if (height, width) not in SIZES:
        raise UserError(path, "not a crop", "112×112 pixels, or 128×128 with a margin", f"{width}×{height}")
    margin = (height - SIDE) // 2
    return image[margin : margin + SIDE, margin : margin + SIDE]


def encoded(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """The bytes of a file of that suffix, one of SUFFIXES, that holds a crop uint8 (112, 112, 3) RGB."""
    if suffix.lower() in RAW:
        return pixels.tobytes()
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    return picture.getvalue()
