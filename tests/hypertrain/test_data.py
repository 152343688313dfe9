"""Reading a data set from tar shards, and the pairs of CFP's protocol, from small folders made here."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_faces import faces

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.backbone import embed
from hyper_mcu.faces.weights import locate
from hyper_mcu.hypertrain import data, protocol

BACKBONE = locate("mbf-w600k")


def crop(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((128, 128), Image.Resampling.BICUBIC))


def data_set(root: Path, shards: dict[str, list[str]]) -> list[np.ndarray]:
    """A folder with train.csv and tar shards; the pictures in the table's order."""
    root.mkdir()
    rows, pictures = ["shard,name,identity,split"], []
    for shard, names in shards.items():
        with tarfile.open(root / shard, "w") as tar:
            for name in names:
                pictures.append(crop(len(pictures)))
                png = io.BytesIO()
                Image.fromarray(pictures[-1]).save(png, "PNG")
                entry = tarfile.TarInfo(name)
                entry.size = len(png.getvalue())
                tar.addfile(entry, io.BytesIO(png.getvalue()))
                person, _, part = name.partition("/")
                rows.append(f"{shard},{name},{'' if person == 'nobody' else person},{part.split('-')[0]}")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return pictures


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data_set(tmp_path / "faces", {"a.tar": ["ann/train-1", "ann/train-2", "bob/val-1"], "b.tar": ["nobody/unlabelled"]})
    return tmp_path / "faces"


def test_data_set_is_read_in_the_tables_order(root: Path, tmp_path: Path) -> None:
    found = data.load(root, "train.csv", tmp_path / "cache")
    assert (found.crops.shape, found.crops.dtype) == ((4, 128, 128, 3), np.uint8)
    assert all(np.array_equal(found.crops[i], crop(i)) for i in range(4))
    assert found.identity.tolist() == ["ann", "ann", "bob", ""]
    assert found.split.tolist() == ["train", "train", "val", "unlabelled"]
    assert found.names.tolist() == ["ann/train-1", "ann/train-2", "bob/val-1", "nobody/unlabelled"]
    assert (found.select("train").tolist(), found.select("val").tolist()) == ([0, 1], [2])
    assert found.select("test").tolist() == []


def test_embeddings_are_those_that_enrolment_computes(root: Path, tmp_path: Path) -> None:
    found = data.load(root, "train.csv", tmp_path / "cache")
    assert (found.embeddings.shape, found.embeddings.dtype) == ((4, 2, 512), np.float16)
    inner = found.crops[:, data.MARGIN : -data.MARGIN, data.MARGIN : -data.MARGIN]
    plain, mirrored = embed(inner), embed(inner[:, :, ::-1])
    assert np.abs(found.embeddings[:, 0] - plain).max() < 1e-3
    assert np.abs(found.embeddings[:, 1] - mirrored).max() < 1e-3
    assert np.abs(plain - mirrored).max() > 0.01


def test_second_reading_needs_no_shard(root: Path, tmp_path: Path) -> None:
    first = data.load(root, "train.csv", tmp_path / "cache")
    for shard in root.glob("*.tar"):
        shard.unlink()
    again = data.load(root, "train.csv", tmp_path / "cache")
    assert np.array_equal(first.crops, again.crops)
    assert np.array_equal(first.embeddings, again.embeddings)
    assert all(p.suffix == ".npy" and not p.name.startswith(".") for p in (tmp_path / "cache").iterdir())


def test_damaged_image_leaves_nothing_in_the_cache(root: Path, tmp_path: Path) -> None:
    with tarfile.open(root / "b.tar", "w") as tar:
        entry = tarfile.TarInfo("nobody/unlabelled")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"none"))
    with pytest.raises(UserError) as e:
        data.load(root, "train.csv", tmp_path / "cache")
    assert str(e.value) == (
        f"{root}/b.tar nobody/unlabelled: damaged image; "
        "expected a picture (JPEG, PNG, WEBP), got UnidentifiedImageError"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_picture_of_another_format_is_not_opened(root: Path, tmp_path: Path) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 128 128\n"
    with tarfile.open(root / "b.tar", "w") as tar:
        entry = tarfile.TarInfo("nobody/unlabelled")
        entry.size = len(eps)
        tar.addfile(entry, io.BytesIO(eps))
    with pytest.raises(UserError, match=r"damaged image; expected a picture \(JPEG, PNG, WEBP\), got Unidentified"):
        data.load(root, "train.csv", tmp_path / "cache")


def test_shards_that_are_cut_or_hold_links_are_refused(root: Path, tmp_path: Path) -> None:
    with tarfile.open(root / "b.tar", "w:gz") as tar:
        link = tarfile.TarInfo("nobody/unlabelled")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere"
        tar.addfile(link)
    with pytest.raises(UserError, match="no such image in the shard"):
        data.load(root, "train.csv", tmp_path / "cache")
    whole = (root / "b.tar").read_bytes()
    (root / "b.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a shard; expected a tar archive, got "):
        data.load(root, "train.csv", tmp_path / "cache")


def test_another_table_is_not_served_from_the_cache(root: Path, tmp_path: Path) -> None:
    data.load(root, "train.csv", tmp_path / "cache")
    lines = (root / "train.csv").read_text().splitlines()
    (root / "train.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    assert np.array_equal(data.load(root, "train.csv", tmp_path / "cache").crops[0], crop(3))


def test_people_to_check_on_are_nobody_of_the_training(tmp_path: Path) -> None:
    root = tmp_path / "more"
    data_set(root, {"a.tar": ["ann/train-1", "bob/val-1", "bob/val-2", "cy/val-1"]})
    table = root / "train.csv"
    text = table.read_text()
    data.check_people(data.load(root, "train.csv", tmp_path / "cache"))
    for wrong, said in (
        (
            text.replace(",bob,val", ",ann,val"),
            "people of split val in split train too; expected people in one of them, got ann",
        ),
        (
            text.replace(",bob,val", ",,val"),
            "image of split val without identity; expected a name, or split unlabelled, got bob/val-1",
        ),
    ):
        table.write_text(wrong)
        with pytest.raises(UserError) as e:
            data.check_people(data.load(root, "train.csv", tmp_path / "cache"))
        assert str(e.value) == f"train.csv: {said}"


def test_too_few_people_to_check_on_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        data.check_people(data.load(root, "train.csv", tmp_path / "cache"))
    assert str(e.value) == (
        "train.csv: too few in split val; "
        "expected two people, one of them with two images, got 1 people, 1 images at most"
    )


def test_incomplete_row_is_named_by_its_line(root: Path, tmp_path: Path) -> None:
    with (root / "train.csv").open("a") as f:
        f.write("x\n")
    with pytest.raises(UserError) as e:
        data.load(root, "train.csv", tmp_path / "cache")
    assert str(e.value) == f"{root}/train.csv line 6: incomplete row; expected a shard and a name, got x"


def test_table_with_a_byte_order_mark_is_read(root: Path, tmp_path: Path) -> None:
    table = root / "train.csv"
    table.write_text(table.read_text(), encoding="utf-8-sig")
    assert len(data.load(root, "train.csv", tmp_path / "cache").names) == 4


def test_folder_without_a_table_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        data.load(tmp_path, "train.csv", tmp_path / "cache")
    assert str(e.value) == (f"{tmp_path}/train.csv: not a data set; expected the table of a data set, got no such file")
    assert list(tmp_path.iterdir()) == []


def write_protocol(root: Path, pairs: dict[str, str], kind: str = "FF") -> None:
    """CFP's ten folds, each with the same lines."""
    for fold in protocol.FOLDS:
        folder = root / "Protocol" / "Split" / kind / fold
        folder.mkdir(parents=True)
        for word, lines in pairs.items():
            (folder / f"{word}.txt").write_text(lines)


def cfp(people: int) -> data.Faces:
    """The names of CFP's pictures, all of the first people; the rest is of no importance here."""
    kinds = [("frontal", n) for n in range(1, 11)] + [("profile", n) for n in range(1, 5)]
    names = np.array([f"cfp/{p:03d}/{kind}-{n:02d}.webp" for p in range(1, people + 1) for kind, n in kinds])
    empty = np.full(len(names), "")
    return data.Faces(np.empty((len(names), 0)), np.empty((len(names), 0)), empty, empty, names)


def test_lines_of_the_frontal_protocol_count_ten_photos_a_person(tmp_path: Path) -> None:
    faces = cfp(3)
    write_protocol(tmp_path, {"same": "1,2\n20,11\n", "diff": "10,21\n"})
    pairs = protocol.cfp_pairs(tmp_path, faces, "FF")
    assert faces.names[pairs.enrol[:3]].tolist() == [
        "cfp/001/frontal-01.webp", "cfp/002/frontal-10.webp", "cfp/001/frontal-10.webp"
    ]  # fmt: skip
    assert faces.names[pairs.probe[:3]].tolist() == [
        "cfp/001/frontal-02.webp", "cfp/002/frontal-01.webp", "cfp/003/frontal-01.webp"
    ]  # fmt: skip
    assert pairs.same[:3].tolist() == [True, True, False]
    assert pairs.fold.tolist() == [f for f in range(1, 11) for _ in range(3)]


def test_profiles_of_the_other_protocol_count_four_photos_a_person(tmp_path: Path) -> None:
    faces = cfp(2)
    write_protocol(tmp_path, {"same": "11,5\n", "diff": "1,8\n"}, "FP")
    pairs = protocol.cfp_pairs(tmp_path, faces, "FP")
    assert faces.names[pairs.enrol[:2]].tolist() == ["cfp/002/frontal-01.webp", "cfp/001/frontal-01.webp"]
    assert faces.names[pairs.probe[:2]].tolist() == ["cfp/002/profile-01.webp", "cfp/002/profile-04.webp"]


def test_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        protocol.cfp_pairs(tmp_path, cfp(1), "FF")
    path = tmp_path / "Protocol" / "Split" / "FF" / "01" / "same.txt"
    assert str(e.value) == f"{path}: no CFP split; expected the official Protocol folder, got no such file"


def test_all_pairs_leave_out_each_image_with_itself() -> None:
    scores = np.arange(9, dtype=np.float32).reshape(3, 3)
    genuine, impostor = protocol.all_pairs(scores, np.array(["a", "b", "a"]))
    assert (sorted(genuine), sorted(impostor)) == ([2, 6], [1, 3, 5, 7])


def test_val_pairs_enrol_the_first_photo_of_held_out_people_only() -> None:
    some = faces({"train": 3, "val": 9, "unlabelled": 2}, photos=4, side=16)
    pairs = protocol.val_pairs(some, impostors=5)
    assert set(some.split[pairs.enrol]) == set(some.split[pairs.probe]) == {"val"}
    assert len(set(pairs.enrol)) == 9
    assert (pairs.same.sum(), (~pairs.same).sum()) == (9 * 3, 9 * 5)
    assert np.array_equal(pairs.same, some.identity[pairs.enrol] == some.identity[pairs.probe])
    assert (pairs.enrol != pairs.probe).all()
    rows = list(zip(pairs.enrol.tolist(), pairs.probe.tolist(), strict=True))
    assert len(set(rows)) == len(rows)
    assert np.array_equal(pairs.probe, protocol.val_pairs(some, impostors=5).probe)
