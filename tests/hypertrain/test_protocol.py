"""The pairs of CFP's protocol and of held-out people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_faces import faces

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import data, protocol


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
