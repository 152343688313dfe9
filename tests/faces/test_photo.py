import os
import struct
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.photo import MAX_PIXELS, read_photo
from hyper_mcu.faces.weights import demo_photo

RGB = Image.effect_mandelbrot((24, 16), (-2, -1, 1, 1), 50).convert("RGB")


def save(path: Path, image: Image.Image, **how) -> Path:
    image.save(path, **how)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as e:
        read_photo(path)
    return str(e.value).replace(str(path), path.name)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp"])
def test_lossless_formats_give_the_very_pixels(tmp_path, yao, name):
    assert np.array_equal(read_photo(save(tmp_path / name, Image.fromarray(yao), lossless=True)), yao)


def test_jpeg_gives_what_pillow_decodes():
    found = read_photo(demo_photo("yaoming.jpg"))
    assert found.shape == (287, 233, 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.asarray(Image.open(demo_photo("yaoming.jpg"))))


@pytest.mark.parametrize("orientation", range(9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", RGB, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((24, 16, 3) if orientation > 4 else (16, 24, 3))
    assert np.array_equal(read_photo(path), expected)


def test_damaged_exif_counts_as_none(tmp_path):
    path = save(tmp_path / "a.jpg", RGB, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert read_photo(path).shape == (16, 24, 3)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16"])
def test_other_modes_become_rgb(tmp_path, mode):
    grey = RGB.convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = (RGB if mode in ("P", "RGBA") else grey).convert(mode)
    found = read_photo(save(tmp_path / "a.png", image))
    wanted = {"P": image.convert("RGB"), "RGBA": RGB, "1": image.convert("RGB")}.get(mode, grey.convert("RGB"))
    assert np.array_equal(found, np.asarray(wanted))


def test_sixteen_bit_colour_keeps_the_upper_byte(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.asarray(RGB)[..., ::-1].astype(np.uint16) * 256 + 200)
    assert np.array_equal(read_photo(tmp_path / "a.png"), np.asarray(RGB))


def test_cmyk_jpeg_keeps_its_colours(tmp_path):
    red = Image.new("RGB", (16, 16), (200, 30, 40))
    found = read_photo(save(tmp_path / "a.jpg", red.convert("CMYK"), quality=95))
    assert np.abs(found.astype(int) - (200, 30, 40)).max() <= 4


@pytest.mark.parametrize(("name", "mode"), [("a.png", "RGBA"), ("a.png", "LA"), ("a.webp", "RGBA")])
def test_transparent_parts_are_white(tmp_path, name, mode):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 2), (9, 9, 9, 255))
    found = read_photo(save(tmp_path / name, image.convert(mode), lossless=True))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[2, 1].tolist() == [9, 9, 9]


def test_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putdata([0, 1])
    found = read_photo(save(tmp_path / "a.png", image, transparency=0))
    assert found.tolist() == [[[255, 255, 255], [10, 20, 30]]]


def test_heic_is_read(tmp_path, yao):
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif (hyper-mcu[heic]) is not installed")
    heif.from_pillow(Image.fromarray(yao)).save(tmp_path / "a.heic", quality=95)
    found = read_photo(tmp_path / "a.heic")
    assert found.shape == yao.shape
    assert np.abs(found.astype(int) - yao).mean() < 3


def test_heic_without_its_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    said = refusal(path)
    assert said == f"a.heic: HEIC needs pillow-heif; expected {install.extra('heic')}, got no such package"


def test_files_that_are_no_photo(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("once upon a time")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.gif")
    os.mkfifo(tmp_path / "pipe.jpg")
    kinds = "expected JPEG, PNG, WebP, BMP or HEIC"
    assert refusal(tmp_path / "empty.jpg") == f"empty.jpg: not a photo; {kinds}, got an empty file"
    assert refusal(tmp_path / "text.jpg") == f"text.jpg: not a photo; {kinds}, got something else"
    assert refusal(tmp_path / "a.gif") == f"a.gif: not a photo; {kinds}, got something else"
    assert refusal(tmp_path / "no.jpg") == "no.jpg: no photo; expected an existing file, got no such file"
    assert refusal(tmp_path / "pipe.jpg") == "pipe.jpg: not a photo; expected a regular file, got a device or pipe"
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path / "folder") == "folder: not a photo; expected a file, got a folder"


def test_unreadable_file_is_named():
    # a regular file whose first bytes nobody may read, root neither
    assert refusal(Path("/proc/self/mem")) == (
        "mem: photo cannot be read; expected a readable file, got input/output error"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_photo_is_damaged(tmp_path, yao, kind):
    whole = BytesIO()
    Image.fromarray(yao).save(whole, kind)
    (tmp_path / "cut").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    assert refusal(tmp_path / "cut") == (
        "cut: photo is damaged; expected a whole picture, got a truncated or broken file"
    )


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT"
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0) + data + struct.pack(">I", zlib.crc32(data))
    )  # fmt: skip


def test_decompression_bombs_are_refused_before_decoding(tmp_path):
    assert MAX_PIXELS == 120_000_000
    (tmp_path / "big.png").write_bytes(png_header(12_000, 11_000))
    (tmp_path / "bomb.png").write_bytes(png_header(1_000_000, 1_000_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            refusal(tmp_path / "big.png") == "big.png: picture is too large; expected at most 120 megapixels, got 132"
        )
        got = refusal(tmp_path / "bomb.png")
    assert got == "bomb.png: picture is too large; expected at most 120 megapixels, got over 178"


SAMPLES = []
for kind in ("JPEG", "PNG", "WEBP"):
    buffer = BytesIO()
    RGB.save(buffer, kind, exif=Image.Exif())
    SAMPLES.append(buffer.getvalue())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 900),
)
def test_damaged_bytes_give_a_picture_or_one_line(tmp_path, sample, changes, cut):
    data = bytearray(sample)
    for where, value in changes:
        data[where % len(data)] = value
    (tmp_path / "x").write_bytes(data[: max(len(data) - cut, 1)])
    try:
        found = read_photo(tmp_path / "x")
    except UserError as e:
        assert len(str(e).splitlines()) == 1  # noqa: PT017 - either outcome is right
    else:
        assert found.dtype == np.uint8
        assert found.shape[2] == 3
