"""`hyper-mcu eval` as it is called: what it prints, its JSON, its picture, and mistakes of one line each."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from hyper_mcu import generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.hypertrain import metrics

LIST = "\n".join(
    [f"P{p} 1 {n}" for p in range(4) for n in (2, 3)]
    + [f"P{p} {n} P{q} 1" for p in range(4) for q, n in (((p + 1) % 4, 2), ((p + 2) % 4, 3))]
)


@pytest.fixture(scope="module")
def lfw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Aligned pictures of four people, three of each, who look alike within a person; and a list of 16 pairs."""
    root = tmp_path_factory.mktemp("set") / "lfw"
    rng = np.random.default_rng(0)
    for p in range(4):
        (root / f"P{p}").mkdir(parents=True)
        own = rng.integers(0, 256, (7, 7, 3))
        for n in (1, 2, 3):
            pixels = (own + rng.integers(-30, 31, own.shape)).clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(pixels).resize((112, 112), Image.Resampling.BICUBIC)
            picture.save(root / f"P{p}" / f"P{p}_{n:04d}.png")
    (root / "pairs.txt").write_text(LIST)
    return root


@pytest.fixture
def ask(
    command: Callable[..., int], lfw: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of `hyper-mcu eval WORDS`, with one cache."""

    def run(*words: object) -> tuple[int, str, str]:
        code = command("eval", *words, "--cache", lfw.parent / "cache")
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_json_says_what_was_measured_and_on_what(ask, lfw: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(LIST)
    code, out, err = ask("lfw", "--root", lfw, "--pairs", pairs, "--aligned", "--json", "--plot", tmp_path / "det.png")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert [said[k] for k in ("schema_version", "set", "pairs", "genuine", "impostor")] == [1, "lfw", 16, 8, 8]
    assert (said["protocol"], said["int8_by"], said["enrolled"], said["folds"]) == (None, "twin", "first", 8)
    for figures in (said, said["enrolled_second"], said["mean_of_both_directions"]):
        for kind in ("float", "int8"):
            f = figures[kind]
            assert 0 <= f["accuracy_mean"] <= 1
            assert f["accuracy_sd"] >= 0
            assert 0 <= f["eer"] <= 1
            assert {k: (t["supported"], t["tar"]) for k, t in f["tar_at_fmr"].items()} == {
                "1e-2": (False, None), "1e-3": (False, None), "1e-4": (False, None)
            }  # fmt: skip
    assert (said["broken_images"], said["broken"]) == (0, [])
    assert said["failure_to_enrol"] == {"photos": 12, "failed": 0, "rate": 0.0, "images": []}
    assert said["failure_to_acquire"]["failed"] == said["pairs_that_count_as_errors"] == 0
    g = generator.load()
    assert (said["generator_sha256"], said["backbone_sha256"]) == (g.sha256, g.backbone_sha256)
    assert said["pairs_sha256"] == hashlib.sha256(LIST.encode()).hexdigest()
    crops = hashlib.sha256()
    for path in sorted(lfw.glob("P*/*.png")):
        crops.update(f"{path.parent.name}/{path.stem}".encode() + b"\0" + np.asarray(Image.open(path)).tobytes())
    assert said["crops_sha256"] == crops.hexdigest()
    with Image.open(tmp_path / "det.png") as picture:
        assert (picture.format, picture.width > 400, picture.height > 400) == ("PNG", True, True)


def test_figures_are_those_of_the_oracle_one_pair_at_a_time(ask, lfw: Path) -> None:
    said = json.loads(ask("lfw", "--root", lfw, "--aligned", "--json")[1])
    by_c = json.loads(ask("lfw", "--root", lfw, "--aligned", "--json", "--engine", "c")[1])
    assert (by_c["int8_by"], by_c["int8"], by_c["enrolled_second"]) == ("c", said["int8"], said["enrolled_second"])
    g = generator.load()

    def image(name: str, n: str) -> np.ndarray:
        return np.asarray(Image.open(lfw / name / f"{name}_{int(n):04d}.png"))

    scores, same = [], []
    for line in LIST.splitlines():
        w = line.split()
        one, other = image(w[0], w[1]), image(w[0] if len(w) == 3 else w[2], w[-1])
        qnet = quantize(g.spec, g.weights(backbone(g.backbone).enrol(one[None]))[0], g.scales)
        scores.append(qnet.score(oracle.run(qnet, other).logit))
        same.append(len(w) == 3)
    want, is_same = np.array(scores), np.array(same)
    assert said["int8"]["eer"] == metrics.equal_error(want[is_same], want[~is_same]).eer
    assert said["int8"]["threshold"] == pytest.approx(
        metrics.equal_error(want[is_same], want[~is_same]).threshold, abs=0.005
    )  # embeddings are kept in half precision


def test_second_direction_is_the_first_of_the_list_turned_round(ask, lfw: Path, tmp_path: Path) -> None:
    ways = {}
    for way in (1, -1):
        lines = []
        for line in LIST.splitlines():
            w = line.split()
            names = [f"{w[0]}_{int(w[1]):04d}.png", f"{w[0] if len(w) == 3 else w[2]}_{int(w[-1]):04d}.png"]
            lines.append(" ".join([*names[::way], str(int(len(w) == 3))]))
        (tmp_path / "list.txt").write_text("\n".join(lines))
        ways[way] = json.loads(ask("pairs", "--root", lfw, "--pairs", tmp_path / "list.txt", "--aligned", "--json")[1])
    for kind in ("float", "int8"):
        for figure in ("accuracy_mean", "eer", "threshold"):
            assert ways[1]["enrolled_second"][kind][figure] == pytest.approx(ways[-1][kind][figure], abs=1e-5)
        assert ways[1][kind]["threshold"] != ways[1]["enrolled_second"][kind]["threshold"]
        both = "mean_of_both_directions"
        assert ways[1][both][kind]["threshold"] == pytest.approx(ways[-1][both][kind]["threshold"], abs=1e-5)


def test_report_for_people_marks_what_cannot_be_told(ask, lfw: Path) -> None:
    code, out, _ = ask("lfw", "--root", lfw, "--aligned")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("lfw, 16 pairs (8 of one person, 8 of two), 8 folds, generator ")
    assert [line.split()[:3] for line in lines[2:8]] == [
        [kind, *words]
        for words in (("enrol", "first"), ("enrol", "second"), ("mean", "of"))
        for kind in ("int8", "float")
    ]
    assert all(line.count("–") == 3 for line in lines[2:8])
    assert "* takes two nets a pair, which no chip does" in lines
    assert "– not to be shown with so few pairs of different people: 30,000 would do (rule of three)" in lines
    assert lines[-1] == "pairs that count as errors, as a face was not found: 0"


def test_photos_without_a_face_are_counted_and_named(ask, lfw: Path, tmp_path: Path) -> None:
    root = tmp_path / "lfw"
    root.mkdir()
    for folder in lfw.glob("P*"):
        os.symlink(folder, root / folder.name)
    (root / "Q").mkdir()
    (root / "Q" / "Q_0001.png").write_bytes(b"damaged")
    (root / "pairs.txt").write_text(LIST + "\nQ 1 P0 1\nP1 1 Q 1\n")
    code, out, _ = ask("lfw", "--root", root, "--aligned")
    assert code == 0
    assert "images that are no whole picture: 1: Q/Q_0001: damaged image (UnidentifiedImageError)" in out
    assert "failure to enrol: 1 of 13 photos (7.69%): Q/Q_0001: damaged image (UnidentifiedImageError)" in out
    assert "pairs that count as errors, as a face was not found: 2" in out
    whole = json.loads(ask("lfw", "--root", lfw, "--aligned", "--json")[1])
    said = json.loads(ask("lfw", "--root", root, "--aligned", "--json")[1])
    assert said["pairs"] == whole["pairs"] + 2
    assert said["int8"]["accuracy_mean"] <= 1 - 2 / 30  # two of ten folds, of three pairs at most, hold a wrong one
    assert said["failure_to_acquire"]["images"] == [
        {"image": "Q/Q_0001", "reason": "damaged image (UnidentifiedImageError)"}
    ]
    assert (said["broken_images"], said["broken"]) == (1, said["failure_to_acquire"]["images"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lfv", "--root", "x"), "SET: unknown set; expected lfw, calfw, cplfw, cfp, agedb, vgg2-fp, pairs, or a .bin "
         "file, got lfv"),
        (("lfw",), "--root: missing; expected the folder of the set, got nothing"),
        (("lfw", "--root", "none"), "none: no evaluation set; expected a folder or a .bin file, got no such path"),
        (("x.bin",), "x.bin: no evaluation set; expected a folder or a .bin file, got no such path"),
        (("x.bin", "--root", "y"), "--root: a folder for a .bin file; expected one of them, got y"),
        (("lfw", "--root", "x", "--protocol", "FP"), "--protocol: a protocol for lfw; expected none, or the set cfp, "
         "got FP"),
        (("cfp", "--root", "x", "--generator", "g.onnx"), "g.onnx: no generator; expected an ONNX file written by "
         "hyper-mcu train, got no such file"),
        (("cfp", "--root", "x", "--plot", "no/det.png"), "no/det.png: cannot write; expected an existing folder no, "
         "got none"),
        (("cfp", "--root", "x", "--plot", "det.csv"), "--plot: output; expected a name ending in .png, got 'det.csv'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(ask, words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask(*words) == (2, "", said + "\n")
    assert list(tmp_path.iterdir()) == []


def test_plot_overwrites_nothing_of_the_set(ask, lfw: Path) -> None:
    path = lfw / "P0" / "P0_0001.png"
    before = path.read_bytes()
    said = f"--plot: would overwrite a file of the set; expected another file, got {path}\n"
    assert ask("lfw", "--root", lfw, "--aligned", "--plot", path) == (2, "", said)
    assert path.read_bytes() == before


def test_malformed_list_is_one_line_with_file_and_line(ask, lfw: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("P0 1 2\nP0 one P1 2\n")
    code, out, err = ask("lfw", "--root", lfw, "--pairs", pairs, "--aligned", "--json")
    want = f"{pairs} line 2: not a pair; expected NAME i j, or NAME i NAME j, got 'P0 one P1 2'\n"
    assert (code, out, err) == (2, "", want)


class Hostile:
    """A pickle that makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


def test_hostile_bin_file_is_refused_in_one_line(ask, tmp_path: Path) -> None:
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps(Hostile(tmp_path / "mark")))
    code, out, err = ask(path, "--json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"{path}: not a .bin file of InsightFace; expected a pickle of encoded images")
    assert "system" in err
    assert not (tmp_path / "mark").exists()


def test_pairs_of_one_kind_without_any_face_are_one_line(ask, lfw: Path, tmp_path: Path) -> None:
    root = tmp_path / "lfw"
    (root / "Q").mkdir(parents=True)
    os.symlink(lfw / "P0", root / "P0")
    (root / "Q" / "Q_0001.png").write_bytes(b"damaged")
    (root / "pairs.txt").write_text("P0 1 2\nP0 1 Q 1\n")
    code, out, err = ask("lfw", "--root", root, "--aligned")
    assert (code, out) == (2, "")
    assert err == (
        "pairs: none of different people to compare, enrolling the first; "
        "expected some with faces, got no face in any of 1\n"
    )


def test_too_few_pairs_for_folds_are_one_line(ask, lfw: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("P0 1 2\nP0 1 P1 1\n")
    code, out, err = ask("lfw", "--root", lfw, "--pairs", pairs, "--aligned")
    assert (code, out, err) == (2, "", "pairs: too few for a threshold from other folds; expected two folds, got 1\n")


def test_progress_on_a_terminal_is_a_bar_on_stderr(lfw: Path, tmp_path: Path) -> None:
    import pty
    import subprocess
    import sys

    main, side = pty.openpty()
    words = ["eval", "lfw", "--root", lfw, "--aligned", "--json", "--cache", lfw.parent / "cache"]
    program = [sys.executable, "-c", "from hyper_mcu.cli import main; main()", *map(str, words)]
    run = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    out, _ = run.communicate()
    shown = os.read(main, 1 << 16).decode(errors="replace")
    os.close(main)
    assert run.returncode == 0
    assert json.loads(out)["pairs"] == 16
    assert "scoring pairs" in shown
    assert "━" in shown


def test_raw_research_photos_are_told_apart(ask, research_faces: Path, tmp_path: Path) -> None:
    raw = research_faces / "raw"
    people = sorted({p.name.split("-")[0] for p in raw.glob("*-frontal-*.jpg")})[:6]
    photos = {p: sorted(q.name for q in raw.glob(f"{p}-frontal-*.jpg"))[:2] for p in people}
    pairs = tmp_path / "list.txt"
    lines = [f"{photos[p][0]} {photos[p][1]} 1" for p in people]
    lines += [f"{photos[p][0]} {photos[q][1]} 0" for p, q in zip(people, people[1:] + people[:1], strict=True)]
    pairs.write_text("\n".join(lines))
    code, out, _ = ask("pairs", "--root", raw, "--pairs", pairs, "--json")
    said = json.loads(out)
    assert (code, said["pairs"], said["pairs_that_count_as_errors"]) == (0, 12, 0)
    assert said["mean_of_both_directions"]["int8"]["eer"] <= 1 / 3


def test_help_names_every_set_and_shows_calls(ask) -> None:
    code, out, _ = ask("--help")
    assert code == 0
    for word in ("lfw", "calfw", "cplfw", "cfp", "agedb", "vgg2-fp", ".bin", "hyper-mcu eval lfw --root lfw --pairs"):
        assert word in out
