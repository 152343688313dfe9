"""Opening a data set: broken images, held-out people, the cache; and what Faces says of itself."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

import data_sets
import numpy as np
import pytest
from data_sets import Projection, crop, encoded, items, write_folders, write_shards
from PIL import Image

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Event
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.hypertrain import data
from hyper_mcu.hypertrain.data.held_out import split
from hyper_mcu.hypertrain.data.source import Source

PEOPLE = {"ann": 3, "bob": 2, "cy": 2}


def load(root: Path, **settings: object) -> data.Faces:
    return data.load(root, root.parent / "cache", settings.pop("backbone", Projection()), **settings)


def refused(root: Path, **settings: object) -> str:
    with pytest.raises(UserError) as e:
        load(root, **settings)
    return str(e.value).replace(str(root), "ROOT")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folders(tmp_path / "set", items(PEOPLE))
    return tmp_path / "set"


def damaged_late(content: bytes) -> bytes:
    """A PNG that opens, and whose last rows are missing."""
    return content[: len(content) * 2 // 3]


def test_embeddings_are_those_that_enrolment_computes(root: Path, tmp_path: Path) -> None:
    found = data.load(root, tmp_path / "cache")
    assert (found.embeddings.shape, found.embeddings.dtype) == ((7, 2, 512), np.float16)
    inner, mbf = data.central(found.crops), backbone()
    plain, mirrored = mbf.embed(inner), mbf.embed(inner[:, :, ::-1])
    assert np.abs(found.embeddings[:, 0] - plain).max() < 1e-3
    assert np.abs(found.embeddings[:, 1] - mirrored).max() < 1e-3
    assert np.abs(plain - mirrored).max() > 0.01
    assert np.abs(found.enrolled() - mbf.enrol(inner)).max() < 1e-3
    assert (found.backbone_sha256, found.dimension) == (mbf.sha256, 512)


def test_broken_images_are_left_out_named_and_told(root: Path, tmp_path: Path) -> None:
    whole = (root / "ann" / "1.png").read_bytes()
    (root / "ann" / "1.png").write_bytes(damaged_late(whole))
    (root / "bob" / "8.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 128 128\n")
    (root / "bob" / "9.png").write_bytes(encoded(crop(9, 160)))
    (root / "cy" / "8.png").write_bytes(b"")
    for decoded in (8.0, 0.0):
        said: list[str] = []
        found = load(root, progress=said.append, decoded=decoded)
        assert found.names.tolist() == ["ann/0.png", "ann/2.png", "bob/0.png", "bob/1.png", "cy/0.png", "cy/1.png"]
        assert all(np.array_equal(found.crops[k], crop(i)) for k, i in enumerate([0, 2, 3, 4, 5, 6]))
        assert np.array_equal(found.embeddings[:, 0], data.embedded(found.crops[:], Projection())[:, 0])
        assert dict(found.broken) == {
            "ann/1.png": "damaged", "bob/8.png": "damaged", "bob/9.png": "160×160 pixels", "cy/8.png": "damaged"
        }  # fmt: skip
        (report,) = (tmp_path / "cache").glob("broken-set-*.csv")
        assert report.read_text().splitlines()[:2] == ["name,defect", "ann/1.png,damaged"]
        assert [t for t in said if isinstance(t, Event)] == [f"4 broken images left out: see {report}"]
    (root / "ann" / "1.png").write_bytes(whole)
    assert len(load(root).names) == 7, "a mended image comes back"


def test_report_of_broken_images_goes_when_there_are_none(root: Path, tmp_path: Path) -> None:
    (root / "ann" / "1.png").write_bytes(b"none")
    load(root)
    (root / "ann" / "1.png").unlink()
    load(root)
    assert list((tmp_path / "cache").glob("broken-*")) == []


def test_pictures_that_are_no_crops_are_refused_by_name(tmp_path: Path) -> None:
    write_folders(tmp_path / "set", items(PEOPLE, side=160))
    assert refused(tmp_path / "set") == (
        "ROOT ann/0.png: no crop, as 7 of 7 images; expected 112×112 or 128×128 aligned crops, got 160×160 pixels"
    )


def test_sets_without_images_or_with_one_person_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path / "set", items({"ann": 3}))
    assert refused(tmp_path / "set") == "ROOT: too few people; expected images of at least two, got ann"
    data_sets.write_tar(tmp_path / "set" / "x.tar", {"a.txt": b"a"})
    assert refused(tmp_path / "set", kind="webdataset") == "ROOT: empty set; expected images, got none"


def test_set_that_names_nobody_is_unlabelled_and_not_for_training(tmp_path: Path) -> None:
    write_shards(tmp_path / "set", items({"": 3}))
    found = load(tmp_path / "set")
    assert found.select("unlabelled").tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"too few in split val; .* got 0 people, 0 images at most"):
        data.check_people(found)


def test_unchanged_images_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, read = load(root), []
    plain = Source.read
    monkeypatch.setattr(Source, "read", lambda self, i: read.append(str(self.names[i])) or plain(self, i))
    again = load(root)
    assert read == []
    assert np.array_equal(first.crops, again.crops)
    assert np.array_equal(first.embeddings, again.embeddings)
    os.utime(root / "bob" / "1.png", ns=(1, 1))
    load(root)
    assert read == ["bob/1.png"]


def test_image_that_could_not_be_read_is_tried_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_reading(self: Source, i: int) -> bytes:
        raise OSError("stale file handle")

    with monkeypatch.context() as m:
        m.setattr(Source, "read", no_reading)
        assert refused(root).startswith("ROOT ann/0.png: no crop, as 7 of 7 images; ")
    assert len(load(root).names) == 7


def test_rows_that_name_nothing_or_the_same_image_are_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "set"
    write_shards(root, items(PEOPLE))
    with (root / "train.csv").open("a") as f:
        f.write("a.tar,ann/0.png,dan\na.tar,no.png,dan\na.tar,nor.png,dan\n")
    first = load(root)
    assert (first.identity.tolist()[-1], len(first.names), len(first.broken)) == ("dan", 8, 2)
    assert np.array_equal(first.crops[7], crop(0))
    monkeypatch.setattr(Source, "read", lambda self, i: pytest.fail("read again"))
    assert load(root).broken == first.broken


def test_changed_image_is_seen_though_name_and_table_stay(tmp_path: Path) -> None:
    root, made = tmp_path / "set", items(PEOPLE)
    write_shards(root, made)
    load(root)
    table, before = (root / "train.csv").read_bytes(), (root / "train.csv").stat().st_mtime_ns
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    made[4] = (*made[4][:2], encoded(noise))  # much larger, so that what follows it moves
    write_shards(root, made)
    assert (root / "train.csv").read_bytes() == table
    os.utime(root / "train.csv", ns=(before, before))
    mbf = Projection()
    again = load(root, backbone=mbf)
    assert np.array_equal(again.crops[4], noise)
    assert np.array_equal(again.embeddings[4], data.embedded(noise[None], Projection())[0])
    assert np.array_equal(again.crops[6], crop(6))
    assert mbf.seen == 2, "one image and its mirror image"


@pytest.mark.parametrize("pattern", ["images-*.rgb", "images-*.npy", "embeddings/*/*.npy"])
def test_damaged_cache_heals(pattern: str, root: Path, tmp_path: Path) -> None:
    first = load(root)
    crops, embeddings = np.array(first.crops), np.array(first.embeddings)
    damaged = list((tmp_path / "cache").glob(pattern))
    assert damaged
    for path in damaged:
        content = path.read_bytes()
        path.unlink()  # not in place: the first Faces has it mapped
        path.write_bytes(content[: len(content) // 2])
    again = load(root)
    assert np.array_equal(again.crops, crops)
    assert np.array_equal(again.embeddings, embeddings)


def test_half_files_of_a_killed_process_are_removed(root: Path, tmp_path: Path) -> None:
    load(root)
    cache = tmp_path / "cache"
    (folder,) = (cache / "embeddings").iterdir()
    for left in (cache / ".images-0123.rgb.x1", folder / ".part-1-2.npy.y2"):
        left.write_bytes(b"half")
    (cache / ".other").write_bytes(b"not ours")
    load(root)
    assert [p.name for p in cache.rglob(".*")] == [".other"]


def test_cache_that_cannot_be_written_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert refused(root) == f"{tmp_path}/cache: cannot write; expected a folder for the cache, got file exists"


def test_images_that_are_decoded_when_asked_for_are_indexed_like_an_array(root: Path) -> None:
    lazy, array = load(root, decoded=0.0).crops, np.array(load(root).crops)
    mask = np.arange(7) % 2 == 0
    indices = [3, np.int64(2), slice(1, 6, 2), [5, 0, 5], np.array([[1, 2], [3, 4]]), mask, np.empty(0, int)]
    for index in [*indices, (slice(2, 5), slice(8, -8), slice(8, -8)), (4, 7)]:
        assert np.array_equal(lazy[index], array[index]), index
    assert (lazy.shape, len(lazy)) == (array.shape, 7)
    with pytest.raises(IndexError):
        lazy[7]


def test_image_that_vanishes_after_the_set_was_opened_is_named(root: Path) -> None:
    crops = load(root, decoded=0.0).crops
    (root / "bob" / "0.png").unlink()
    with pytest.raises(UserError, match=r"^bob/0.png: damaged since the set was read; expected a picture, got FileNot"):
        crops[np.arange(7)]


def test_image_of_another_size_since_the_set_was_opened_is_named(root: Path) -> None:
    crops = load(root, decoded=0.0).crops
    (root / "bob" / "0.png").write_bytes(encoded(crop(3, 112)))
    with pytest.raises(UserError) as e:
        crops[3]
    assert str(e.value) == "bob/0.png: changed since the set was read; expected 128×128, got 112×112"


def test_pictures_of_other_colours_become_rgb(root: Path) -> None:
    grey = Image.fromarray(crop(0)).convert("L")
    for name, image in {"grey": grey, "palette": grey.convert("P"), "clear": grey.convert("LA")}.items():
        file = io.BytesIO()
        image.save(file, "PNG")
        (root / "bob" / f"{name}.png").write_bytes(file.getvalue())
    found = load(root)
    at = {name: i for i, name in enumerate(found.names.tolist())}
    for name in ("grey", "palette", "clear"):
        assert np.array_equal(found.crops[at[f"bob/{name}.png"]], np.repeat(np.asarray(grey)[..., None], 3, 2)), name


def test_sets_without_a_split_hold_people_out(tmp_path: Path) -> None:
    write_folders(tmp_path / "set", items({f"p{k}": 1 + k % 3 for k in range(24)}))
    found = load(tmp_path / "set", held_out=3)
    people, photos = np.unique(found.identity[found.select("val")], return_counts=True)
    assert (len(people), photos.min() > 1, len(found.select("unlabelled"))) == (2, True, 0)
    data.check_people(found)


def test_table_with_a_split_keeps_it(tmp_path: Path) -> None:
    write_shards(
        tmp_path / "set", items({"ann": 2, "bob": 2, "": 1}), lambda p: {"ann": "train", "bob": "val"}.get(p, "")
    )
    found = load(tmp_path / "set")
    assert found.split.tolist() == ["train", "train", "val", "val", ""]


def test_who_is_held_out_hangs_on_the_names_alone() -> None:
    people = np.array([f"person {k}" for k in range(400) for _ in range(2)] + [""] * 9)
    kind = split(people, 30)
    held = set(people[kind == "val"].tolist())
    assert len(held) == 30
    assert set(kind[people == ""]) == {"unlabelled"}
    assert (people[kind == "val"] == "").sum() == 0
    shuffled = np.random.default_rng(0).permutation(people)
    assert set(shuffled[split(shuffled, 30) == "val"].tolist()) == held
    more = np.concatenate([people, [f"newcomer {k}" for k in range(20) for _ in range(2)]])
    assert len(held & set(more[split(more, 30) == "val"].tolist())) >= 25, "newcomers displace few"
    alone = np.concatenate([people, [f"alone {k}" for k in range(2000)]])
    assert set(alone[split(alone, 30) == "val"].tolist()) == held, "who has one image is never held out"
    assert len(set(people[split(people, 300) == "val"].tolist())) == 40, "a tenth at most"


def faces_of(identity: list[str], split: list[str]) -> data.Faces:
    n = len(identity)
    names = np.array([f"{k}.png" for k in range(n)])
    return data.Faces(np.zeros((n, 1, 1, 3), np.uint8), np.zeros((n, 2, 4)), np.array(identity), np.array(split), names)


@pytest.mark.parametrize(
    ("identity", "split", "said"),
    [
        ("a d b b c", "train train val val val", ""),
        ("b b c", "val val val", "too few in split train; expected two people, got 0"),
        ("a b b c", "train val val val", "too few in split train; expected two people, got 1"),
        ("a d a a c", "train train val val val",
         "people of split val in split train too; expected people in one of them, got a"),
        ("a b  c", "train val val val",
         "image of split val without identity; expected a name, or split unlabelled, got 2.png"),
        ("a b c d", "train train val val", "too few in split val; "
         "expected two people, one of them with two images, got 2 people, 1 images at most"),
    ],
)  # fmt: skip
def test_people_to_check_on_are_nobody_of_the_training(identity: str, split: str, said: str) -> None:
    found = faces_of(identity.split(" "), split.split(" "))
    if not said:
        return data.check_people(found)
    with pytest.raises(UserError) as e:
        data.check_people(found)
    assert str(e.value) == f"data: {said}"
    return None


def test_enrolment_and_teacher_scale_the_leading_numbers_alone() -> None:
    e = np.random.default_rng(0).standard_normal((5, 2, 12)).astype(np.float16)
    empty = np.full(5, "")
    found = data.Faces(np.zeros((5, 1, 1, 3), np.uint8), e, empty, empty, empty, dimension=8)
    mean = e.astype(np.float32).mean(1)
    enrolled, teacher = found.enrolled(), found.teacher()
    assert (enrolled.shape, enrolled.dtype, teacher.shape, teacher.dtype) == ((5, 12), np.float32, (5, 8), np.float32)
    assert np.allclose(np.linalg.norm(enrolled[:, :8], axis=1), 1, atol=1e-6)
    assert np.allclose(enrolled[:, 8:], mean[:, 8:], atol=1e-6)
    assert np.allclose(teacher, mean[:, :8] / np.linalg.norm(mean[:, :8], axis=1, keepdims=True), atol=1e-6)
    rows = np.array([3, 1])
    assert np.array_equal(found.enrolled(rows), enrolled[rows])
    assert np.array_equal(found.teacher(rows), teacher[rows])


@pytest.mark.parametrize("side", [112, 128, 131, 160])
def test_central_crop_lies_in_the_middle(side: int) -> None:
    crops = np.arange(side * side, dtype=np.int64).reshape(1, side, side, 1).repeat(3, 3)
    m = (side - 112) // 2
    assert np.array_equal(data.central(crops), crops[:, m : m + 112, m : m + 112])


def test_crops_that_are_there_already_are_embedded_through_the_cache(tmp_path: Path) -> None:
    crops, counted = np.stack([crop(k) for k in range(4)]), Projection()
    for _ in range(2):
        found = data.of_crops(crops, np.array(list("abcd")), tmp_path / "set", tmp_path / "cache", counted)
        assert np.array_equal(found.embeddings, data.embedded(crops, Projection()))
        assert counted.seen == 8
    assert zlib.crc32(np.ascontiguousarray(found.crops)) == zlib.crc32(crops)
