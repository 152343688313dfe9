"""The pairs of CFP's protocol, of held-out people, and of lists in every published form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_faces import faces

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import protocols
from hyper_mcu.hypertrain.protocols import cfp, lists
from hyper_mcu.hypertrain.protocols.pairs import tenths


def write_protocol(root: Path, pairs: dict[str, str], kind: str = "FF") -> None:
    """CFP's ten folds, each with the same lines."""
    for fold in cfp.FOLDS:
        folder = root / "Protocol" / "Split" / kind / fold
        folder.mkdir(parents=True)
        for word, lines in pairs.items():
            (folder / f"{word}.txt").write_text(lines)


def test_lines_of_the_frontal_protocol_count_ten_photos_a_person(tmp_path: Path) -> None:
    write_protocol(tmp_path, {"same": "1,2\n20,11\n", "diff": "10,21\n"})
    found = cfp.listed(tmp_path, "FF")
    assert found.first[:3] == ["001/frontal-01", "002/frontal-10", "001/frontal-10"]
    assert found.second[:3] == ["001/frontal-02", "002/frontal-01", "003/frontal-01"]
    assert found.same[:3].tolist() == [True, True, False]
    assert found.where[2].endswith("diff.txt line 1")
    assert found.fold.tolist() == [f for f in range(1, 11) for _ in range(3)]


def test_profiles_of_the_other_protocol_count_four_photos_a_person(tmp_path: Path) -> None:
    write_protocol(tmp_path, {"same": "11,5\n", "diff": "1,8\n"}, "FP")
    found = cfp.listed(tmp_path, "FP")
    assert found.first[:2] == ["002/frontal-01", "001/frontal-01"]
    assert found.second[:2] == ["002/profile-01", "002/profile-04"]


def test_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        cfp.listed(tmp_path, "FF")
    path = tmp_path / "Protocol" / "Split" / "FF" / "01" / "same.txt"
    assert str(e.value) == f"{path}: no CFP split; expected the official Protocol folder, got no such file"


def test_all_pairs_leave_out_each_image_with_itself() -> None:
    scores = np.arange(9, dtype=np.float32).reshape(3, 3)
    genuine, impostor = protocols.all_pairs(scores, np.array(["a", "b", "a"]))
    assert (sorted(genuine), sorted(impostor)) == ([2, 6], [1, 3, 5, 7])


def test_val_pairs_enrol_the_first_photo_of_held_out_people_only() -> None:
    some = faces({"train": 3, "val": 9, "unlabelled": 2}, photos=4, side=16)
    pairs = protocols.val_pairs(some, impostors=5)
    assert set(some.split[pairs.enrol]) == set(some.split[pairs.probe]) == {"val"}
    assert len(set(pairs.enrol)) == 9
    assert (pairs.same.sum(), (~pairs.same).sum()) == (9 * 3, 9 * 5)
    assert np.array_equal(pairs.same, some.identity[pairs.enrol] == some.identity[pairs.probe])
    assert (pairs.enrol != pairs.probe).all()
    rows = list(zip(pairs.enrol.tolist(), pairs.probe.tolist(), strict=True))
    assert len(set(rows)) == len(rows)
    assert np.array_equal(pairs.probe, protocols.val_pairs(some, impostors=5).probe)


@pytest.mark.parametrize("line", ["1", "1,2,3", "0,1", "a,b", "1;2"])
def test_line_of_the_protocol_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    write_protocol(tmp_path, {"same": f"1,2\n{line}\n", "diff": "10,21\n"})
    with pytest.raises(UserError) as e:
        cfp.listed(tmp_path, "FF")
    path = tmp_path / "Protocol" / "Split" / "FF" / "01" / "same.txt"
    assert str(e.value) == f"{path} line 2: not a pair; expected two numbers a,b from 1 on, got {line!r}"


def test_swapped_pairs_enrol_the_second_image() -> None:
    pairs = protocols.Pairs(np.array([1, 2]), np.array([3, 4]), np.array([True, False]), np.array([1, 2]))
    assert (pairs.swapped.enrol.tolist(), pairs.swapped.probe.tolist()) == ([3, 4], [1, 2])
    assert pairs.swapped.same is pairs.same


def test_tenths_cut_each_kind_of_pair_in_its_order() -> None:
    same = np.array([True] * 20 + [False] * 30)  # as CALFW's list has them: all of one kind first
    fold = tenths(same)
    assert fold[:20].tolist() == [k for k in range(1, 11) for _ in range(2)]
    assert fold[20:].tolist() == [k for k in range(1, 11) for _ in range(3)]
    by_fold = np.tile(np.repeat([True, False], 3), 10)  # as LFW's and InsightFace's come
    assert tenths(by_fold).tolist() == [k for k in range(1, 11) for _ in range(6)]


def listed(tmp_path: Path, text: str | bytes) -> lists.Listed:
    path = tmp_path / "pairs.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return lists.read(path)


def test_lfws_list_has_its_folds_in_the_first_line(tmp_path: Path) -> None:
    found = listed(
        tmp_path,
        "2\t2\nAnn_Lee\t1\t12\nBo\t3\t4\nAnn_Lee\t2\tBo\t1\nBo\t2\tCy\t1\n"
        "Cy\t1\t2\nDi\t1\t2\nCy\t3\tDi\t1\nDi\t2\tCy\t1\n",
    )
    assert found.first[:3] == ["Ann_Lee/Ann_Lee_0001", "Bo/Bo_0003", "Ann_Lee/Ann_Lee_0002"]
    assert found.second[:3] == ["Ann_Lee/Ann_Lee_0012", "Bo/Bo_0004", "Bo/Bo_0001"]
    assert found.same.tolist() == [True, True, False, False] * 2
    assert found.fold.tolist() == [1] * 4 + [2] * 4
    assert found.where[2] == f"{tmp_path / 'pairs.txt'} line 4"


def test_first_line_of_view_1_has_one_number(tmp_path: Path) -> None:
    found = listed(tmp_path, "2\nA 1 2\nB 1 2\nA 1 B 1\nA 2 B 2\n")
    assert (found.same.tolist(), found.fold.tolist()) == ([True, True, False, False], [1, 6, 1, 6])


def test_calfws_and_cplfws_lists_have_two_lines_a_pair(tmp_path: Path) -> None:
    found = listed(tmp_path, "A_0001.jpg 7\nA_0002.jpg 7\nA_0001.jpg 0\nB_0001.jpg 0\n")
    assert (found.first, found.second) == (["A_0001.jpg", "A_0001.jpg"], ["A_0002.jpg", "B_0001.jpg"])
    assert found.same.tolist() == [True, False]
    assert [w.rpartition(" ")[2] for w in found.where] == ["1", "3"]


@pytest.mark.parametrize("text", ["a/1.jpg b.jpg 1\na/1.jpg c.jpg 0\n", "1,a/1.jpg,b.jpg\n\n0,a/1.jpg,c.jpg\n"])
def test_lists_of_one_line_a_pair_may_have_the_label_at_either_end(tmp_path: Path, text: str) -> None:
    found = listed(tmp_path, text)
    assert (found.first, found.second) == (["a/1.jpg", "a/1.jpg"], ["b.jpg", "c.jpg"])
    assert found.same.tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": empty pair list; expected pairs, got none"),
        ("10 300\n", ": empty pair list; expected pairs, got none"),
        ("what is this line\n", " line 1: not a pair; expected NAME i j, or NAME i NAME j; or IMAGE IMAGE label; "
         "or IMAGE label, twice for a pair, got 'what is this line'"),
        ("A 1 2\nA 1 B\n", " line 2: not a pair; expected NAME i j, or NAME i NAME j, got 'A 1 B'"),
        (f"A 1 2\nA 1 {9:018}1\n", " line 2: not a pair; expected NAME i j, or NAME i NAME j, got "
         "'A 1 0000000000000000091'"),
        ("A 1 2\nA 1 A 2\n", " line 2: one person as two; expected two names, got A"),
        ("a.jpg b.jpg 1\na.jpg b.jpg 2\n", " line 2: not a pair; expected IMAGE IMAGE label, got 'a.jpg b.jpg 2'"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", " line 3: half a pair; expected two lines a pair, got the last line alone"),
        ("a.jpg 1\nb.jpg 0\n", " line 1: two labels of a pair; expected one, got 1 and 0"),
        ("a.jpg 1\nb.jpg one\n", " line 2: not a pair; expected IMAGE label, twice for a pair, got 'b.jpg one'"),
        ("2 1\nA 1 2\nA 1 B 1\nB 1 2\n", " line 1: another number of pairs; expected 4 by this line, got 3"),
        ("2 1\nA 1 2\nA 1 B 1\nB 1 C 2\nB 1 2\n", " line 4: pair in the wrong place of its set; expected "
         "1 lines of one person, then 1 of two, got 'B/B_0001'"),
        ("A 1 2\nB 1 2\n", ": pair list of one kind; expected pairs of the same person and of different people, "
         "got only the same person"),
        (b"A 1 2\n\xff 1 2\n", " line 2: not a pair list; expected text in UTF-8, got other bytes"),
    ],
)  # fmt: skip
def test_malformed_list_is_one_line_that_names_the_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(UserError) as e:
        listed(tmp_path, text)
    assert str(e.value) == f"{tmp_path / 'pairs.txt'}{said}"


@pytest.mark.parametrize("end", ["\r\n", "\r", " \n", "\t\n", "\n\n"])
def test_ends_of_lines_and_a_mark_of_the_encoding_mean_nothing(tmp_path: Path, end: str) -> None:
    text = "A 1 2\nB 1 2\nA 1 B 1\n"
    plain, other = listed(tmp_path, text), listed(tmp_path, "\ufeff" + text.replace("\n", end))
    assert (other.first, other.second, other.same.tolist()) == (plain.first, plain.second, plain.same.tolist())


def test_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        lists.read(tmp_path / "no.txt")
    assert str(e.value) == f"{tmp_path / 'no.txt'}: no pair list; expected a text file, got no such file or directory"
