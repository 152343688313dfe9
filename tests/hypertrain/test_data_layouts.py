"""Every layout of a data set is found and read alike, and what is wrong with one is named."""

from __future__ import annotations

import os
import struct
import tarfile
from pathlib import Path

import data_sets
import numpy as np
import pytest
from data_sets import LAYOUTS, Projection, crop, encoded, items, packed, write_records, write_tar

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import data
from hyper_mcu.hypertrain.data import layout

pytest.importorskip("pyarrow", reason="needs hyper-mcu[train]: pyarrow")

PEOPLE = {"ann": 3, "bob": 2, "cy": 2}


def load(root: Path, **settings: object) -> data.Faces:
    return data.load(root, root.parent / "cache", Projection(), **settings)


def refused(root: Path, **settings: object) -> str:
    with pytest.raises(UserError) as e:
        load(root, **settings)
    return str(e.value).replace(str(root), "ROOT")


@pytest.mark.parametrize("decoded", [8.0, 0.0], ids=["decoded once", "decoded when asked for"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_people_and_pictures(name: str, decoded: float, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path / "set", items(PEOPLE))
    found = load(tmp_path / "set", decoded=decoded)
    assert layout.find(tmp_path / "set") == name.split()[0].strip(",")
    assert found.crops.shape == (7, 128, 128, 3)
    assert isinstance(found.crops, np.memmap) == (decoded > 0)
    assert all(np.array_equal(found.crops[i], crop(i)) for i in range(7))
    own = ["0", "0", "0", "1", "1", "2", "2"] if "recordio" in name else ["ann"] * 3 + ["bob"] * 2 + ["cy"] * 2
    assert found.identity.tolist() == own
    assert len(set(found.names.tolist())) == 7
    assert found.broken == ()
    assert np.array_equal(found.embeddings, data.embedded(np.stack([crop(i) for i in range(7)]), Projection()))


@pytest.mark.parametrize("name", [n for n in LAYOUTS if n != "folder" and "recordio" not in n])
def test_pictures_without_a_person_are_unlabelled(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path / "set", items({"ann": 2, "": 3, "bob": 2}))
    found = load(tmp_path / "set")
    assert found.identity.tolist() == ["ann", "ann", "", "", "", "bob", "bob"]
    assert found.select("unlabelled").tolist() == [2, 3, 4]


def test_crops_without_a_margin_are_taken_as_they_are(tmp_path: Path) -> None:
    LAYOUTS["recordio"](tmp_path / "set", items(PEOPLE, side=112))
    found = load(tmp_path / "set")
    assert found.crops.shape == (7, 112, 112, 3)
    assert np.array_equal(data.central(found.crops), found.crops)


def test_a_layout_can_be_forced(tmp_path: Path) -> None:
    LAYOUTS["shards"](tmp_path / "set", items({"ann": 2, "bob": 2}))
    data_sets.write_folders(tmp_path / "set", [("dan", "0.png", encoded(crop(8))), ("eve", "0.png", encoded(crop(9)))])
    assert load(tmp_path / "set").identity.tolist() == ["ann", "ann", "bob", "bob"]
    assert load(tmp_path / "set", kind="folder").identity.tolist() == ["dan", "eve"]
    assert refused(tmp_path / "set", kind="recordio") == (
        "ROOT: no data set; expected one of layout recordio, got nothing of the kind"
    )
    assert refused(tmp_path / "set", kind="zip") == (
        "data.kind: unknown layout; expected auto, recordio, shards, parquet, webdataset, folder, got zip"
    )


def test_folder_that_holds_no_set_is_refused_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "set" / "notes").mkdir(parents=True)
    assert refused(tmp_path / "set") == (f"ROOT: no data set; expected {layout.EXPECTED}, got nothing of the kind")
    assert refused(tmp_path / "set" / "no") == "ROOT: no data set; expected a folder, got no such folder"
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_pictures_of_any_suffix_are_a_persons_and_other_files_are_not(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for person, names in {"ann": ("b.JPG", "a.webp", ".c.png", "notes.txt"), "bob": ("d.bmp", "e.jpeg")}.items():
        (root / person).mkdir(parents=True)
        for name in names:
            kind = {"jpg": "JPEG", "jpeg": "JPEG"}.get(name.lower().split(".")[-1], name.split(".")[-1].upper())
            (root / person / name).write_bytes(encoded(crop(1), kind) if kind != "TXT" else b"text")
    assert load(root).names.tolist() == ["ann/a.webp", "ann/b.JPG", "bob/d.bmp", "bob/e.jpeg"]


def test_missing_shards_are_named(tmp_path: Path) -> None:
    missing = {"shards": "b.tar", "webdataset": "faces-000001.tar", "parquet": "train-00001-of-00002.parquet"}
    for name, shard in missing.items():
        root = tmp_path / name
        LAYOUTS[name](root, items(PEOPLE))
        load(root)
        (root / shard).unlink()
        assert refused(root).startswith(f"ROOT/{shard}: missing "), name


def test_shards_that_are_compressed_or_cut_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    LAYOUTS["shards"](root, items(PEOPLE))
    whole = (root / "b.tar").read_bytes()
    (root.parent / "whole.tar").write_bytes(whole)
    write_tar(root / "b.tar", {"x": b"y"}, "w:gz")
    assert refused(root) == "ROOT/b.tar: not a shard; expected a whole tar archive, not compressed, got ReadError"
    with tarfile.open(root.parent / "whole.tar") as tar:
        last = tar.getmembers()[-1]
    for cut in (len(whole) // 2, last.offset_data + 1, last.offset_data + last.size - 1):
        (root / "b.tar").write_bytes(whole[:cut])
        assert refused(root) == "ROOT/b.tar: not a shard; expected a whole tar archive, not compressed, got ReadError"
    (root / "b.tar").write_bytes(whole)
    assert len(load(root).names) == 7


@pytest.mark.parametrize("size", [1 << 60, -512, -1536])
@pytest.mark.parametrize("name", ["k.cls", "k.png"])
def test_size_that_no_file_in_a_shard_can_have_is_refused(name: str, size: int, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    write_tar(root / "x.tar", {"a.png": encoded(crop(0)), name: b""})
    content = bytearray((root / "x.tar").read_bytes())
    at = content.index(name.encode())
    content[at + 124 : at + 136] = (
        size.to_bytes(12, "big", signed=True) if size < 0 else bytes([128]) + size.to_bytes(11)
    )
    content[at + 148 : at + 156] = b" " * 8
    content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    (root / "x.tar").write_bytes(content)
    assert refused(root) == "ROOT/x.tar: not a shard; expected a whole tar archive, not compressed, got ReadError"


def test_links_in_shards_are_no_images(tmp_path: Path) -> None:
    root = tmp_path / "set"
    LAYOUTS["shards"](root, items(PEOPLE))
    with tarfile.open(root / "a.tar", "a") as tar:
        link = tarfile.TarInfo("bob/9.png")
        link.type, link.linkname = tarfile.SYMTYPE, "ann/0.png"
        tar.addfile(link)
    with (root / "train.csv").open("a") as f:
        f.write("a.tar,bob/9.png,bob\n")
    assert load(root).broken == (("bob/9.png", "not in a.tar"),)


def test_table_is_checked_line_by_line(tmp_path: Path) -> None:
    root = tmp_path / "set"
    LAYOUTS["shards"](root, items(PEOPLE))
    table = root / "train.csv"
    text = table.read_text()
    table.write_text(text + "x\n")
    assert refused(root) == "ROOT/train.csv line 9: incomplete row; expected a shard and a name, got x"
    table.write_text(text.replace("shard,", "file,"))
    assert refused(root) == (
        "ROOT/train.csv: not a data set; expected rows with the columns shard and name, got file,name,identity"
    )
    table.write_text("a,b\n1,2,3\n")
    assert refused(root).endswith("expected rows with the columns shard and name, got a,b,None")
    table.write_text(text, encoding="utf-8-sig")
    assert len(load(root).names) == 7
    table.rename(root / "cfp.csv")
    (root / "a.csv").write_text("x" * 200_000)
    (root / "b.csv").mkdir()
    assert len(load(root).names) == 7, "a table of another name, beside what is none"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("k.json", b"{", "label cannot be read; expected JSON, got JSONDecodeError"),
        ("k.cls", b"\xff", "label cannot be read; expected UTF-8 text, got UnicodeDecodeError"),
        ("k.json", b"[" * 100_000, "label cannot be read; expected JSON, got RecursionError"),
        ("k.cls", bytes(2 << 20), "not a label; expected 1048576 bytes at most, got 2097152"),
        ("k.json", b'{"label": [1]}', "not a label; expected a number or a name, got [1]"),
    ],
)
def test_labels_of_webdataset_that_are_none(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    write_tar(root / "x-000000.tar", {"k.png": encoded(crop(0)), name: content})
    assert refused(root) == f"ROOT/x-000000.tar {name}: {said}"


def test_samples_of_webdataset_end_their_key_at_the_first_dot(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    pictures = {f"a.b/{k}": encoded(crop(k)) for k in range(3)}
    entries = {f"{k}.webp.png" if k.endswith("2") else f"{k}.png": v for k, v in pictures.items()}
    write_tar(root / "x.tar", {**entries, **{f"{k}.cls": k[-1:].encode() for k in pictures}})
    found = load(root)
    assert found.names.tolist() == ["x/a.b/0.png", "x/a.b/1.png"], "KEY.webp.png is no picture of a known kind"
    assert found.identity.tolist() == ["0", "1"]


def test_columns_of_parquet_that_are_missing(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "set"
    root.mkdir()
    pq.write_table(pa.table({"label": [1], "url": ["x"]}), root / "x.parquet")
    assert refused(root) == (
        "ROOT/x.parquet: no column of images; expected one of bytes, or of bytes and path, got label, url"
    )
    for name in ("label", "split"):
        pq.write_table(pa.table({name: [["x"]], "image": [b"y"]}), root / "x.parquet")
        said = f"column {name}; expected whole numbers or text, got list<element: string>"
        assert refused(root) == f"ROOT/x.parquet: {said}"
    (root / "x.parquet").write_bytes(b"PAR1")
    assert refused(root).startswith("ROOT/x.parquet: not a parquet file; expected a whole one, got ")


def test_splits_of_parquet_are_kept_and_numbers_are_people(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "set"
    root.mkdir()
    columns = {"label": [7, 7, 8], "split": ["train", "train", "val"], "image": [encoded(crop(k)) for k in range(3)]}
    pq.write_table(pa.table(columns), root / "x.parquet")
    found = load(root)
    assert (found.identity.tolist(), found.split.tolist()) == (["7", "7", "8"], ["train", "train", "val"])


def test_records_that_hold_their_own_magic_are_joined(tmp_path: Path) -> None:
    magic = struct.pack("<I", data_sets.MAGIC)
    tails = [magic, magic * 2, magic + b"1234" + magic + b"x", b"123" + magic]
    found = []
    for k, tail in enumerate(tails):  # Pillow does not look behind the end of a picture
        content = encoded(crop(k))
        found.append((str(k // 2), "x", content + bytes(-len(content) % 4) + tail))
    records = data_sets.insightface(found)
    assert sum(data_sets.record(c)[7] >> 5 == 1 for _, c in records) == 3
    write_records(tmp_path / "set" / "train.rec", records)
    source = layout.read(tmp_path / "set", "recordio", tmp_path)
    assert [source.read(i) for i in range(4)] == [content for _, _, content in found]
    assert load(tmp_path / "set").identity.tolist() == ["0", "0", "1", "1"]


def test_records_without_an_index_are_walked_through(tmp_path: Path) -> None:
    found = items(PEOPLE)
    found[2] = (*found[2][:2], found[2][2] + bytes(-len(found[2][2]) % 4) + struct.pack("<I", data_sets.MAGIC))
    write_records(tmp_path / "set" / "train.rec", data_sets.insightface(found), index=False)
    assert load(tmp_path / "set").identity.tolist() == ["0", "0", "0", "1", "1", "2", "2"]


def test_records_without_an_index_that_end_early_are_refused(tmp_path: Path) -> None:
    records = data_sets.insightface(items(PEOPLE))
    write_records(tmp_path / "set" / "train.rec", records[:5], index=False)
    assert refused(tmp_path / "set") == (
        "ROOT/train.rec: record file is cut; expected records up to 7, by the first one, got 4"
    )


def test_records_behind_the_images_are_none(tmp_path: Path) -> None:
    records = data_sets.insightface(items(PEOPLE))
    number, _ = records[-1]
    records[-1] = number, packed([1.0, 8.0], number, encoded(crop(99)))
    write_records(tmp_path / "set" / "train.rec", records)
    assert len(load(tmp_path / "set").names) == 7


def test_records_of_plain_mxnet_need_no_header(tmp_path: Path) -> None:
    records = [(k, packed([float(k % 2)], k, encoded(crop(k)))) for k in range(4)]
    write_records(tmp_path / "set" / "faces.rec", records)
    found = load(tmp_path / "set")
    assert (found.names.tolist(), found.identity.tolist()) == (["0", "1", "2", "3"], ["0", "1", "0", "1"])


def test_record_files_that_are_cut_or_have_another_index_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    rec = root / "train.rec"
    LAYOUTS["recordio"](root, items(PEOPLE))
    whole, index = rec.read_bytes(), rec.with_suffix(".idx").read_text()
    rec.write_bytes(whole[:-50])
    assert refused(root).startswith("ROOT/train.rec: record file is cut; expected ")
    rec.write_bytes(whole)
    rec.with_suffix(".idx").write_text(index.replace("\t0\n", "\t4\n"))
    assert refused(root) == "ROOT/train.rec: no record at byte 4; expected what its index says, got something else"
    rec.with_suffix(".idx").write_text(f"0\t{2**63 - 1}\n")
    assert refused(root).startswith("ROOT/train.rec: record file is cut; expected the 9223372036854775807 bytes of ")
    rec.with_suffix(".idx").write_text(f"0\t{10**30}\n")
    assert refused(root).startswith("ROOT/train.idx: not an index; expected ")
    rec.with_suffix(".idx").write_text("0\n")
    assert refused(root).startswith(
        "ROOT/train.idx: not an index; expected lines of a record's number and offset, got "
    )
    rec.with_suffix(".idx").unlink()
    rec.write_bytes(whole + b"12345678")
    assert refused(root) == (
        f"ROOT/train.rec: no record at byte {len(whole)}; expected magic 0xced7230a, got 0x34333231"
    )


@pytest.mark.parametrize("label", [0.5, -1.0, float("nan"), float("inf"), float(1 << 24)])
def test_labels_of_records_that_number_nobody(label: float, tmp_path: Path) -> None:
    records = data_sets.insightface(items(PEOPLE))
    records[3] = 3, packed([label, 0.0], 3, encoded(crop(2)))
    write_records(tmp_path / "set" / "train.rec", records)
    assert refused(tmp_path / "set") == (
        f"ROOT/train.rec: label of record 3; expected the number of a person, got {label}"
    )


def test_several_record_files_are_one_set(tmp_path: Path) -> None:
    for part in "ab":
        write_records(tmp_path / "set" / f"{part}.rec", data_sets.insightface(items(PEOPLE)))
    found = load(tmp_path / "set")
    assert (len(found.names), found.names[0], found.names[7]) == (14, "a/1", "b/1")


def test_archives_are_not_searched_again_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hyper_mcu.hypertrain.data import tars

    root, searched = tmp_path / "set", []
    LAYOUTS["webdataset"](root, items(PEOPLE))
    members = tars.members
    monkeypatch.setattr(tars, "members", lambda path: searched.append(path.name) or members(path))
    first = load(root)
    assert len(searched) == 3
    assert np.array_equal(load(root).names, first.names)
    assert len(searched) == 3
    os.utime(root / "faces-000001.tar", ns=(1, 1))
    load(root)
    assert len(searched) == 6
    for index in tmp_path.glob("cache/index-*"):
        index.write_bytes(b"")
    load(root)
    assert len(searched) == 9


@pytest.mark.parametrize("kind", [".npz", ".bin"])
def test_images_of_parquet_are_copied_again_where_the_copy_is_damaged(kind: str, tmp_path: Path) -> None:
    LAYOUTS["parquet"](tmp_path / "set", items(PEOPLE))
    first = load(tmp_path / "set", decoded=0.0)
    for path in tmp_path.glob(f"cache/parquet-*{kind}"):
        path.write_bytes(path.read_bytes()[:-1])
    again = load(tmp_path / "set", decoded=0.0)
    assert np.array_equal(again.crops[:], first.crops[:])


def test_picture_that_is_none_of_a_persons_files_is_named(tmp_path: Path) -> None:
    LAYOUTS["folder"](tmp_path / "set", items(PEOPLE))
    (tmp_path / "set" / "bob" / "x.png").mkdir()
    assert refused(tmp_path / "set") == (
        "ROOT/bob/x.png: missing file of the set; expected a file, got a folder, device or pipe"
    )
