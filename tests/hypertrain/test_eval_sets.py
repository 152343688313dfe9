"""Evaluation sets in every place that they are kept in: folders of crops, raw photos, .bin files, CFP's own layout."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import data_sets
import numpy as np
import pytest
import small_sets
from data_sets import Projection
from PIL import Image, ImageFilter

from hyper_mcu import generator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.faces.weights import demo_photo
from hyper_mcu.hypertrain import protocols, report
from hyper_mcu.hypertrain.data import central
from hyper_mcu.hypertrain.protocols import EvalSet, photos


def crop(seed: int, side: int = 112) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, lossless=True)


def load(name: str, root: Path, **settings: object) -> EvalSet:
    return protocols.load(name, root, root.parent / "cache", backbone(), **settings)


def shown(chosen: EvalSet) -> list[tuple[list[int], list[int], bool]]:
    """The first pixels of both images of each pair, and whether they are the same person."""
    p, first = chosen.pairs, central(np.asarray(chosen.faces.crops[:]))[:, 0, 0].tolist()
    return [(first[a], first[b], bool(s)) for a, b, s in zip(p.enrol, p.probe, p.same, strict=True)]


def corner(seed: int) -> list[int]:
    return crop(seed)[0, 0].tolist()


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """Ann with two images, Bo with two, of several formats and sizes, and the list of their pairs."""
    root = tmp_path / "lfw"
    save(root / "Ann" / "Ann_0001.png", crop(1))
    save(root / "Ann" / "Ann_0002.WEBP", np.pad(crop(2), ((8, 8), (8, 8), (0, 0)), "edge"))
    save(root / "Bo" / "Bo_0001.png", crop(3))
    save(root / "Bo" / "Bo_0012.png", crop(4))
    (root / "notes.txt").write_text("not a picture")
    (root / "pairs.txt").write_text("Ann 1 2\nBo 1 12\nAnn 1 Bo 1\nBo 12 Ann 2\n")
    return root


WANT = [(corner(a), corner(b), s) for a, b, s in ((1, 2, True), (3, 4, True), (1, 3, False), (4, 2, False))]


def test_folder_of_aligned_images_is_read_with_the_list_beside_them(lfw: Path) -> None:
    chosen = load("lfw", lfw, aligned=True)
    assert shown(chosen) == WANT
    assert chosen.pairs.fold.tolist() == [1, 6, 1, 6]
    assert chosen.made(chosen.pairs).all()
    assert (chosen.to_enrol.photos, chosen.to_enrol.reasons, chosen.to_enrol.rate) == (3, (), 0.0)
    assert (chosen.to_acquire.photos, len(chosen.faces.names)) == (3, 4)


def test_list_may_lie_elsewhere_and_images_in_one_folder(lfw: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in lfw.glob("*/*"):
        path.rename(flat / path.name)
    (tmp_path / "list.csv").write_text(
        "Ann_0001.jpg,Ann_0002.jpg,1\nBo_0001.jpg,Bo_0012.jpg,1\nAnn_0001.jpg,Bo_0001.jpg,0\nBo_0012.jpg,Ann_0002.jpg,0\n"
    )
    by_paths = load("pairs", flat, pairs=tmp_path / "list.csv", aligned=True)
    by_names = load("lfw", flat, pairs=lfw / "pairs.txt", aligned=True)
    assert shown(by_paths) == shown(by_names) == WANT


def test_hashes_tell_lists_and_crops_apart(lfw: Path) -> None:
    one = load("lfw", lfw, aligned=True)
    assert load("lfw", lfw, aligned=True).crops_sha256 == one.crops_sha256
    save(lfw / "Bo" / "Bo_0012.png", crop(5))
    other = load("lfw", lfw, aligned=True)
    assert (other.pairs_sha256, other.crops_sha256 == one.crops_sha256) == (one.pairs_sha256, False)
    (lfw / "pairs.txt").write_text("Ann 1 2\nAnn 1 Bo 1\n")
    assert load("lfw", lfw, aligned=True).pairs_sha256 != one.pairs_sha256


def test_image_of_the_list_that_is_missing_or_twice_there_is_named_with_the_line(lfw: Path) -> None:
    (lfw / "Bo" / "Bo_0012.jpg").write_bytes((lfw / "Bo" / "Bo_0012.png").read_bytes())
    with pytest.raises(UserError) as e:
        load("lfw", lfw, aligned=True)
    want = f"{lfw}/pairs.txt line 2: image Bo/Bo_0012; expected one picture of that name in {lfw}, got "
    assert str(e.value) == want + f"2, {lfw}/Bo/Bo_0012.jpg among them"
    for path in lfw.glob("Bo/Bo_0012.*"):
        path.unlink()
    with pytest.raises(UserError) as e:
        load("lfw", lfw, aligned=True)
    assert str(e.value) == want + "none"


def test_folder_that_links_lead_to_again_is_looked_into_once(lfw: Path, tmp_path: Path) -> None:
    (lfw / "Ann" / "again").symlink_to(lfw)
    (tmp_path / "bare.txt").write_text("Ann_0001.png Ann_0002.webp 1\nBo_0001.png Ann_0001.png 0\n")
    assert shown(load("pairs", lfw, pairs=tmp_path / "bare.txt", aligned=True)) == [
        WANT[0],
        (corner(3), corner(1), False),
    ]


@pytest.mark.parametrize("aligned", [True, False])
def test_image_that_is_no_file_is_named_with_the_line(lfw: Path, aligned: bool) -> None:
    path = lfw / "Bo" / "Bo_0012.png"
    path.unlink()
    path.symlink_to(lfw / "gone.png")
    with pytest.raises(UserError) as e:
        load("lfw", lfw, aligned=aligned)
    want = f"{lfw / 'pairs.txt'} line 2: image Bo/Bo_0012; expected a file, got {path}, which is none"
    assert str(e.value) == want


def test_checks_of_enrolment_are_for_photos(lfw: Path, tmp_path: Path) -> None:
    (tmp_path / "lfw.bin").write_bytes(b"")
    for root, aligned, got in ((lfw, True, "--aligned"), (tmp_path / "lfw.bin", False, "crops")):
        with pytest.raises(UserError) as e:
            load("lfw", root, aligned=aligned, quality=True)
        assert str(e.value) == f"--quality: checks of enrolment on crops; expected photos, got {got}"


def test_pairs_that_can_be_compared_in_one_direction_alone_have_no_mean(lfw: Path) -> None:
    chosen = replace(load("lfw", lfw, aligned=True), enrollable=np.array([True, True, False, False]))
    with pytest.raises(UserError) as e:
        report.score(chosen, generator.load())
    want = "none of different people to compare, in both directions; expected some with faces, got no face in any of 2"
    assert str(e.value) == f"pairs: {want}"


def test_crop_of_another_size_is_refused_and_a_damaged_one_counts_as_without_a_face(lfw: Path) -> None:
    (lfw / "Bo" / "Bo_0001.png").write_bytes(b"\x89PNG and no more")
    chosen = load("lfw", lfw, aligned=True)
    assert chosen.made(chosen.pairs).tolist() == [True, False, False, True]
    assert (
        chosen.to_enrol.reasons
        == chosen.to_acquire.reasons
        == (("Bo/Bo_0001", "damaged image (UnidentifiedImageError)"),)
    )
    save(lfw / "Bo" / "Bo_0001.png", crop(3, 100))
    with pytest.raises(UserError) as e:
        load("lfw", lfw, aligned=True)
    assert str(e.value) == f"{lfw}/Bo/Bo_0001.png: no aligned crop; expected 112×112 or 128×128, got 100×100"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("calfw", {}, "{0}: no pair list; expected --pairs FILE, or pairs_CALFW.txt beside the images, got none"),
        ("pairs", {}, "{0}: no pair list; expected --pairs FILE, got none"),
        ("cfp", {}, "{0}/Protocol/Split/FF/01/same.txt: no CFP split; expected the official Protocol folder, "
         "got no such file"),
    ],
)  # fmt: skip
def test_set_that_is_not_there_is_named(lfw: Path, name: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as e:
        load(name, lfw, **settings)
    assert str(e.value) == said.format(lfw)


def encoded(*seeds: int, side: int = 112) -> list[bytes]:
    return [data_sets.encoded(crop(seed, side)) for seed in seeds]


def test_bin_files_are_found_by_their_usual_name_and_taken_by_any(tmp_path: Path) -> None:
    root = tmp_path / "faces_emore"
    root.mkdir()
    content = pickle.dumps((encoded(1, 2, 3, 4, 1, 3, 4, 2), [True, True, False, False]))
    for name in ("agedb_30.bin", "cfp_fp.bin", "my.bin"):
        (root / name).write_bytes(content)
    assert shown(load("agedb", root)) == shown(load("cfp", root, protocol="FP")) == WANT
    mine = load("pairs", root / "my.bin")
    assert shown(mine) == WANT
    assert len(mine.faces.names) == 4, "an image that stands there twice is one image"
    torn = encoded(1)[0][:-60]
    (root / "my.bin").write_bytes(
        pickle.dumps(([*encoded(1, 2), torn, *encoded(4, 1, 3), torn, *encoded(2)], [1, 1, 0, 0]))
    )
    mine = load("pairs", root / "my.bin")
    assert [name for name, _ in mine.faces.broken] == ["image 2"], "named by where it stands first"
    assert mine.made(mine.pairs).tolist() == [True, False, True, False]
    (root / "my.bin").write_bytes(pickle.dumps(([*encoded(1, 2), *encoded(9, side=100), *encoded(3)], [1, 0])))
    with pytest.raises(UserError) as e:
        load("pairs", root / "my.bin")
    assert str(e.value) == f"{root / 'my.bin'} image 2: no aligned crop; expected 112×112 or 128×128, got 100×100"
    with pytest.raises(UserError, match=r"--pairs: a list for a \.bin file, which has its own; expected a folder"):
        load("lfw", root / "my.bin", pairs=tmp_path)


def write_cfp(root: Path, people: int) -> None:
    """The official folders and split: each fold one pair of each kind."""
    for person in range(1, people + 1):
        for n in range(1, 11):
            save(root / "Data" / "Images" / f"{person:03d}" / "frontal" / f"{n:02d}.png", crop(100 * person + n))
        for n in range(1, 5):
            save(root / "Data" / "Images" / f"{person:03d}" / "profile" / f"{n:02d}.png", crop(100 * person + 50 + n))
    for fold in range(1, 11):
        folder = root / "Protocol" / "Split" / "FP" / f"{fold:02d}"
        folder.mkdir(parents=True)
        (folder / "same.txt").write_text(f"{fold},{fold % 4 + 1}\n")
        (folder / "diff.txt").write_text(f"{fold},5\n")


def test_cfp_is_read_from_its_official_folders(tmp_path: Path) -> None:
    root = tmp_path / "cfp-dataset"
    write_cfp(root, 2)
    found = shown(load("cfp", root, protocol="FP", aligned=True))
    assert found[0] == (corner(101), corner(152), True)
    assert found[1] == (corner(101), corner(251), False)
    assert len(found) == 20


def test_cfp_in_shards_has_only_the_images_of_the_protocol_embedded(tmp_path: Path) -> None:
    small_sets.cfp(tmp_path / "cfp")
    counted, said = Projection(), list[str]()
    sets = {
        kind: protocols.load("cfp", tmp_path / "cfp", tmp_path / "cache", counted, protocol=kind, progress=said.append)
        for kind in ("FF", "FP")
    }
    names = {kind: sorted(name.split("/")[2] for name in s.faces.names) for kind, s in sets.items()}
    assert names["FF"] == ["frontal-01.webp"] * 3 + ["frontal-02.webp"] * 3
    assert names["FP"] == ["frontal-01.webp"] * 3 + ["profile-01.webp"] * 3
    assert counted.seen == 2 * 9, "each image and its mirror image, those of both protocols once"
    again = protocols.load("cfp", tmp_path / "cfp", tmp_path / "cache", Projection(stop_after=0), protocol="FF")
    assert again.crops_sha256 == sets["FF"].crops_sha256


def test_photo_that_the_shards_lack_matters_where_a_pair_names_it(tmp_path: Path) -> None:
    root = tmp_path / "cfp"
    small_sets.cfp(root)
    table = (root / "cfp.csv").read_text()
    (root / "cfp.csv").write_text(table + "cfp-00.tar,cfp/003/profile-04.webp\n")
    chosen = protocols.load("cfp", root, tmp_path / "cache", Projection())
    assert (chosen.made(chosen.pairs).all(), chosen.faces.broken) == (True, ())
    (root / "cfp.csv").write_text(table.replace("002/frontal-02.webp", "002/frontal-02.png"))  # of no such file
    chosen = protocols.load("cfp", root, tmp_path / "cache", Projection())
    assert chosen.to_acquire.reasons == (("002/frontal-02", "not in cfp-00.tar"),)
    assert chosen.faces.broken == (("cfp/002/frontal-02.png", "not in cfp-00.tar"),)
    (root / "cfp.csv").write_text(table.replace("002/frontal-02", "002/frontal-09"))
    with pytest.raises(UserError) as e:
        protocols.load("cfp", root, tmp_path / "cache", Projection())
    place = root / "Protocol" / "Split" / "FF" / "01" / "diff.txt"
    assert str(e.value) == f"{place} line 1: no photo 002/frontal-02; expected every photo of the list, got 5 photos"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two people, and one without a face, as LFW keeps them."""
    root = tmp_path_factory.mktemp("album") / "lfw"
    yao, team = Image.open(demo_photo("yaoming.jpg")), Image.open(demo_photo("players.jpg"))
    for name in ("Yao", "Team", "Wall"):
        (root / name).mkdir(parents=True)
    yao.save(root / "Yao" / "Yao_0001.jpg", quality=95)
    yao.resize((yao.width * 3 // 4, yao.height * 3 // 4)).save(root / "Yao" / "Yao_0002.bmp")
    yao.filter(ImageFilter.GaussianBlur(yao.width / 60)).save(root / "Yao" / "Yao_0003.jpg")
    team.save(root / "Team" / "Team_0001.jpg")
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(root / "Wall" / "Wall_0001.png")
    (root / "pairs.txt").write_text("Yao 1 2\nYao 3 1\nWall 1 Yao 1\nYao 2 Team 1\nTeam 1 Wall 1\n")
    (root / "Torn").mkdir()
    (root / "Torn" / "Torn_0001.png").write_bytes((root / "Wall" / "Wall_0001.png").read_bytes()[:-90])
    return root


def test_raw_photos_go_through_the_products_detector_and_aligner(album: Path) -> None:
    chosen = load("lfw", album)
    assert chosen.made(chosen.pairs).tolist() == [True, True, False, True, False]
    assert chosen.pairs.enrol[2] == chosen.pairs.probe[4] == -1
    assert (chosen.to_enrol.photos, chosen.to_enrol.reasons) == (
        5, (("Wall/Wall_0001", "no face found; expected one face, got none"),)
    )  # fmt: skip
    assert (chosen.to_acquire.photos, len(chosen.to_acquire.reasons)) == (4, 1)
    want = face_crops(album / "Team" / "Team_0001.jpg", "largest", "probe")[0].pixels
    assert np.array_equal(chosen.faces.crops[chosen.pairs.probe[3]], want)
    e = chosen.faces.teacher()
    likeness = [float(e[a] @ e[b]) for a, b in zip(chosen.pairs.enrol[:2], chosen.pairs.probe[:2], strict=True)]
    assert likeness[0] > 0.8


def test_photos_that_enrolment_would_refuse_are_refused_where_it_is_asked(album: Path) -> None:
    chosen = load("lfw", album, quality=True)
    assert chosen.made(chosen.pairs).tolist() == [True, False, False, True, False]
    assert [name for name, _ in chosen.to_enrol.reasons] == ["Wall/Wall_0001", "Yao/Yao_0003"]
    assert "blurred" in chosen.to_enrol.reasons[1][1]
    assert [name for name, _ in chosen.to_acquire.reasons] == ["Wall/Wall_0001"], "it may still be asked about"
    assert chosen.made(chosen.pairs.swapped).tolist() == [True, True, False, True, False]


def test_photos_that_are_no_whole_picture_are_told_from_those_without_a_face(album: Path) -> None:
    assert load("lfw", album).faces.broken == ()
    (album / "torn.txt").write_text("Yao 1 2\nTorn 1 Yao 1\nWall 1 Yao 1\n")
    for _ in range(2):  # looked at, and recalled
        chosen = load("lfw", album, pairs=album / "torn.txt")
        assert [name for name, _ in chosen.to_enrol.reasons] == ["Torn/Torn_0001", "Wall/Wall_0001"]
        assert [name for name, _ in chosen.faces.broken] == ["Torn/Torn_0001"]


def test_photos_are_looked_at_once(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("lfw", album)

    def looked(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(photos, "look", looked)
    again = load("lfw", album)
    assert again.crops_sha256 == first.crops_sha256
    assert again.to_enrol == first.to_enrol
    for path in album.parent.glob("cache/photos-*/*"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssertionError):
        load("lfw", album)
    monkeypatch.undo()
    assert load("lfw", album).to_enrol == first.to_enrol, "what is damaged is looked for again"
    monkeypatch.setattr(photos, "look", looked)
    monkeypatch.setattr(photos, "sha256_of", lambda name: "another detector")
    with pytest.raises(AssertionError):
        load("lfw", album)


def test_many_photos_are_looked_at_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    yao, paths = Image.open(demo_photo("yaoming.jpg")), []
    for i in range(photos.FEW + 1):
        paths.append(tmp_path / f"{i}.jpg")
        yao.resize((160 + 8 * i, 160 + 8 * i)).save(paths[-1])
    paths[4].write_bytes(b"no photo")
    said: list[str] = []
    found = photos.acquire(paths, tmp_path, tmp_path / "cache", said.append)
    assert found[4].pixels is None
    assert found[4].no_face.startswith("not a photo; expected")
    for i in (0, photos.FEW):
        assert np.array_equal(found[i].pixels, photos.look(paths[i]).pixels)
    assert said[0] == "9 of 9 photos to be looked at once for a face"
    assert said[-1] == "looking for faces: 9 of 9, 0 s left"


def test_process_that_is_killed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(photos, "look", os._exit)
    with pytest.raises(UserError, match="looking for faces: a process was killed; expected 2 processes"):
        list(photos._each([1] * (photos.FEW + 1)))


def test_processes_that_look_for_faces_do_not_hear_ctrl_c() -> None:
    def heard() -> str:
        asked = "import signal; print(signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        return subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()

    with photos._deaf():
        assert heard() == "False"
    assert heard() == "True"


def test_detector_that_cannot_run_is_no_failure_of_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*words: object) -> None:
        raise UserError("scrfd-500m", "package is not installed", "it", "none")

    monkeypatch.setattr(photos, "face_crops", missing)
    save(tmp_path / "a.png", crop(1))
    with pytest.raises(UserError, match="scrfd-500m: package is not installed; expected it, got none"):
        photos.acquire([tmp_path / "a.png"], tmp_path, tmp_path / "cache")


def test_photo_whose_format_needs_a_package_is_no_failure_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    with pytest.raises(UserError, match=r"a\.heic: HEIC needs pillow-heif; expected "):
        photos.acquire([tmp_path / "a.heic"], tmp_path, tmp_path / "cache")
