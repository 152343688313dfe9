"""Embeddings are computed once an image and backbone, whatever set the image is in, whoever was interrupted."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_sets import Projection, crop, encoded, items, write_folders

from hyper_mcu.codegen.progress import Event
from hyper_mcu.hypertrain import data
from hyper_mcu.hypertrain.data import embeddings
from hyper_mcu.hypertrain.data.locks import alone

CROPS = np.stack([crop(k) for k in range(12)])
RIGHT = data.embedded(CROPS, Projection())


def hashes(crops: np.ndarray) -> np.ndarray:
    return np.stack([np.frombuffer(hashlib.sha256(c.tobytes()).digest()[:16], np.uint8) for c in crops])


def stored(crops: np.ndarray, cache: Path, backbone: Projection) -> np.ndarray:
    return embeddings.stored(hashes(crops), crops, backbone, cache)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "BATCH", 2)
    monkeypatch.setattr(embeddings, "BLOCK", 5)


def test_second_time_nothing_is_embedded(tmp_path: Path) -> None:
    first, again = Projection(), Projection()
    assert np.array_equal(stored(CROPS, tmp_path, first), RIGHT)
    assert np.array_equal(found := stored(CROPS, tmp_path, again), RIGHT)
    assert (first.seen, again.seen) == (24, 0)
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable


def test_how_many_are_to_be_embedded_is_said_before_and_how_long_it_takes_meanwhile(tmp_path: Path) -> None:
    stored(CROPS[:5], tmp_path, Projection())
    said: list[str] = []
    embeddings.stored(hashes(CROPS), CROPS, Projection(), tmp_path, said.append)
    assert said[0] == "7 of 12 images to be embedded once by projection"
    assert isinstance(said[0], Event)
    assert said[1:3] == ["embedding crops: 0 of 7", "embedding crops: 2 of 7"]
    assert [text.endswith(" s left") for text in said[3:5]] == [True] * 2
    said.clear()
    embeddings.stored(hashes(CROPS), CROPS, Projection(), tmp_path, said.append)
    assert said == []


@pytest.mark.parametrize("order", [list(range(12)), [7, 3, 11, 0], [4, 4, 9, 4]])
def test_images_of_another_set_are_not_embedded_again(order: list[int], tmp_path: Path) -> None:
    stored(CROPS[:9], tmp_path, Projection())
    counted = Projection()
    assert np.array_equal(stored(CROPS[order], tmp_path, counted), RIGHT[order])
    assert counted.seen == 2 * len({k for k in order if k >= 9})


def test_one_image_twice_is_embedded_once(tmp_path: Path) -> None:
    counted, order = Projection(), [1, 1, 0, 1]
    assert np.array_equal(stored(CROPS[order], tmp_path, counted), RIGHT[order])
    assert counted.seen == 4


def test_another_backbone_has_its_own_embeddings(tmp_path: Path) -> None:
    stored(CROPS, tmp_path, Projection())
    other = Projection(sha256="0f" * 32, matrix=np.random.default_rng(6).standard_normal((48, 64)))
    found = stored(CROPS, tmp_path, other)
    assert other.seen == 24
    assert np.array_equal(found, data.embedded(CROPS, other))
    assert not np.array_equal(found, RIGHT)


def test_interrupted_run_keeps_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stored(CROPS, tmp_path, Projection(stop_after=18))  # four batches of two, each twice, and half of the fifth
    rest = Projection()
    assert np.array_equal(stored(CROPS, tmp_path, rest), RIGHT)
    assert rest.seen == 24 - 16
    assert list(tmp_path.rglob("part-*")) == []


def test_killed_run_keeps_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "SAVE", 0.0)
    write = embeddings._write

    def killed(*arguments: object) -> None:
        if len(list(tmp_path.rglob("part-*"))) >= 6:
            raise OSError("as if killed: no last part either")
        write(*arguments)

    monkeypatch.setattr(embeddings, "_write", killed)
    with pytest.raises(OSError, match="as if killed"):
        stored(CROPS, tmp_path, Projection())
    monkeypatch.setattr(embeddings, "_write", write)
    rest = Projection()
    assert np.array_equal(stored(CROPS, tmp_path, rest), RIGHT)
    assert rest.seen == 24 - 12, "three parts of one batch"


def test_parts_of_an_interrupted_set_outlive_another_set(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stored(CROPS, tmp_path, Projection(stop_after=18))
    stored(CROPS[10:], tmp_path, Projection())
    rest = Projection()
    assert np.array_equal(stored(CROPS[:10], tmp_path, rest), RIGHT[:10])
    assert rest.seen == 4


def test_part_without_its_hashes_is_as_good_as_none(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stored(CROPS, tmp_path, Projection(stop_after=18))
    (part,) = tmp_path.rglob("part-*.hashes.npy")
    part.write_bytes(part.read_bytes()[:40])
    assert np.array_equal(stored(CROPS, tmp_path, Projection()), RIGHT)


PROGRAM = (
    "import sys; from pathlib import Path\n"
    "from data_sets import Projection; from hyper_mcu.hypertrain import data\n"
    "from hyper_mcu.hypertrain.data import embeddings\n"
    "embeddings.BATCH, embeddings.SAVE = 2, 0.0\n"
    "p, say = Projection(), lambda text: print(text.partition(' ')[0], flush=True)\n"
    "f = data.load(Path(sys.argv[1]), Path(sys.argv[2]), p, progress=say)\n"
    "right = (f.embeddings == data.embedded(f.crops[:], Projection())).all()\n"
    "print(p.seen, len(f.names), right, int(f.crops[:].sum()))"
)


def loading(root: Path, cache: Path) -> subprocess.Popen[str]:
    """A process that reads a set, part by part, and tells what it does; in the end how many images it embedded, how
    many there are, and whether all are right."""
    run = [sys.executable, "-c", PROGRAM, str(root), str(cache)]
    return subprocess.Popen(run, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)


def test_processes_that_prepare_one_set_take_turns(tmp_path: Path) -> None:
    root, cache = tmp_path / "set", tmp_path / "cache"
    write_folders(root, items({"ann": 20, "bob": 20}))
    (tmp_path / "link").symlink_to(root)
    with alone(cache, tmp_path / "link"):
        both = [loading(root, cache) for _ in range(2)]
        assert [p.stdout.readline() for p in both if p.stdout] == ["waiting\n"] * 2
        (root / "ann" / "late.png").write_bytes(encoded(crop(40)))
    said = sorted((p.communicate()[0].splitlines() for p in both), key=len)
    assert said[0][0].split()[:3] == ["0", "41", "True"], "who comes second finds all done, and says nothing of work"
    assert said[1][-1].split() == ["82", *said[0][0].split()[1:]]


def test_who_prepares_another_set_waits_for_nobody_and_leaves_half_files_alone(tmp_path: Path) -> None:
    one, other, cache = tmp_path / "one", tmp_path / "other", tmp_path / "cache"
    write_folders(other, items({"ann": 3, "bob": 3}))
    with alone(cache, one):
        half = cache / ".images-0123.rgb.x1"
        half.write_bytes(b"somebody writes it")
        said = loading(other, cache).communicate(timeout=60)[0].splitlines()
        assert ("waiting" in said, said[-1].split()[:3]) == (False, ["12", "6", "True"])
        assert half.exists()
    with alone(cache, other):
        assert not half.exists()


def test_processes_whose_sets_overlap_lose_no_embedding(tmp_path: Path) -> None:
    found = items({"ann": 20, "bob": 20})
    sets = [found[:25], found[10:], found[5:35], found[::2]]
    for k, some in enumerate(sets):
        write_folders(tmp_path / str(k), some)
    runs = [loading(tmp_path / str(k), tmp_path / "cache") for k in range(len(sets))]
    ends = [run.communicate(timeout=120)[0].splitlines()[-1].split() for run in runs]
    assert [end[1:3] for end in ends] == [[str(len(some)), "True"] for some in sets]
    assert list((tmp_path / "cache").rglob("part-*")) == []


def test_added_image_alone_is_embedded(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_folders(root, items({"ann": 4, "bob": 4}))
    data.load(root, tmp_path / "cache", Projection())
    (root / "ann" / "zz.png").write_bytes(encoded(crop(99)))
    counted = Projection()
    found = data.load(root, tmp_path / "cache", counted)
    assert (len(found.names), counted.seen) == (9, 2)
    assert np.array_equal(found.embeddings, data.embedded(found.crops[:], Projection()))
