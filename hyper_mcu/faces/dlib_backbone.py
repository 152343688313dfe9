"""The backbone `dlib`: a ResNet of 29 layers, 128 numbers, 99.38 % on LFW by its maker; needs the package dlib.

It expects dlib's own chip, 150×150, which shows more of the chin and less of the brow than the 112×112 crop. Both
templates are known, so one box of the crop is the chip: fitting dlib's mean face (eyes, tip of the nose, corners of
the mouth) to ARCFACE_TEMPLATE gives a scale of 1.45 and a turn of 0.3°, dlib's own 68 landmarks on 40 CFP photos 1.47
and none. The box ends 11 pixels below the crop, where the crop's last row stands for what it does not show. On
600 pairs of CFP-FF it is right 98.3 % of the time so, at the best threshold; mbf-w600k 99.7 %, sface 99.8 %.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.backbone import Backbone
from hyper_mcu.faces.weights import locate, row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSION = 128
SIDE = 150  # of dlib's chip
BOX = (4.6, 20.5, 107.4, 123.3)  # of the chip in the crop, in pixels: left, top, right, bottom
BELOW = 12  # rows that the crop lacks


def load() -> Backbone:
    """The backbone; package and weights are looked for when the first crop is embedded."""
    w = row("dlib")
    return Backbone("dlib", DIMENSION, DIMENSION, 0, w.terms, w.sha256, look)


def look(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Descriptors float32 (N, 128) of crops uint8 (N, 112, 112, 3) RGB."""
    import numpy as np

    net = _net()
    return np.array(net.compute_face_descriptor([chip(crop) for crop in crops]), np.float32).reshape(-1, DIMENSION)


def chip(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """dlib's chip uint8 (150, 150, 3) of a crop uint8 (112, 112, 3)."""
    import numpy as np
    from PIL import Image

    longer = Image.fromarray(np.pad(crop, ((0, BELOW), (0, 0), (0, 0)), "edge"))
    return np.asarray(longer.resize((SIDE, SIDE), Image.Resampling.BILINEAR, BOX))


@functools.cache
def _net() -> Any:
    path = locate("dlib")
    try:
        import dlib
    except ImportError:
        raise UserError("dlib", "package dlib is not installed", install.extra("dlib"), "no such package") from None
    return dlib.face_recognition_model_v1(str(path))
