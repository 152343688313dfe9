"""Photo files to pixels: what a camera or a phone writes, upright, eight bits, RGB."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")  # Pillow knows others, whose decoders run programs or are little tried
MAX_PIXELS = 120_000_000  # the largest phone cameras write 108 megapixels; each costs three bytes and some copies
ORIENTATION = 0x0112  # EXIF 2.32, table 4
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")  # ISO/IEC 23008-12, annex B


def read_photo(path: Path) -> NDArray[np.uint8]:
    """The pixels of a photo: uint8 (H, W, 3) RGB, turned as its EXIF orientation says, transparent parts white.

    JPEG, PNG, WebP, BMP; HEIC where pillow-heif is installed. Grey, palette, CMYK and 16-bit pictures become 8-bit RGB.
    Raises UserError, one line, for whatever is not a whole photo of at most MAX_PIXELS.
    """
    import numpy as np

    head = _head(path)
    formats = list(FORMATS)
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        _register_heic(path)
        formats.append("HEIF")
    with warnings.catch_warnings():  # Pillow's remarks about size and metadata; what matters is checked here
        warnings.simplefilter("ignore")
        with _open(path, formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(path, f"{image.width * image.height / 1e6:.0f}")
            try:
                image.load()
                return np.asarray(_rgb(_upright(image)))
            except MemoryError as e:
                raise _too_large(path, "more than the memory holds") from e
            except Exception as e:  # decoders raise whatever the damage makes of the data: OSError, SyntaxError, …
                raise UserError(path, "photo is damaged", "a whole picture", "a truncated or broken file") from e


def _head(path: Path) -> bytes:
    """The first bytes of a regular, non-empty file."""
    if path.is_dir():
        raise UserError(path, "not a photo", "a file", "a folder")
    if not path.exists():
        raise UserError(path, "no photo", "an existing file", "no such file")
    if not path.is_file():
        raise UserError(path, "not a photo", "a regular file", "a device or pipe")
    try:
        with path.open("rb") as f:
            head = f.read(16)
    except OSError as e:
        raise UserError(path, "photo cannot be read", "a readable file", (e.strerror or str(e)).lower()) from e
    if not head:
        raise UserError(path, "not a photo", "JPEG, PNG, WebP, BMP or HEIC", "an empty file")
    return head


def _register_heic(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise MissingToolError(path, "HEIC needs pillow-heif", install.extra("heic"), "no such package") from None
    pillow_heif.register_heif_opener()


def _open(path: Path, formats: list[str]) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path, formats=formats)
    except Image.DecompressionBombError as e:
        raise _too_large(path, f"over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6}") from e
    except UnidentifiedImageError as e:
        raise UserError(path, "not a photo", "JPEG, PNG, WebP, BMP or HEIC", "something else") from e
    except Exception as e:
        raise UserError(path, "photo is damaged", "a whole picture", "a truncated or broken file") from e


def _too_large(path: Path, megapixels: str) -> UserError:
    return UserError(path, "picture is too large", f"at most {MAX_PIXELS // 10**6} megapixels", megapixels)


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned or mirrored as its EXIF orientation says; damaged EXIF data count as none."""
    from PIL import Image

    turn = Image.Transpose
    orientation = 1
    with contextlib.suppress(Exception):
        orientation = image.getexif().get(ORIENTATION, 1)
    method = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_270, 7: turn.TRANSVERSE, 8: turn.ROTATE_90,
    }.get(orientation)  # fmt: skip
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> Image.Image:
    """Eight-bit RGB of any mode that the formats have; transparent parts on white."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255 instead of scaling
        import numpy as np

        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image.convert("RGB")
