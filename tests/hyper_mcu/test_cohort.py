"""The threshold of a person: by a wanted false match rate, and by a cohort of strangers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs hyper-mcu[onnx]: onnx")

import onnx
from enrolled import PORTRAIT, STRANGER, TEAM, Command, Refused
from PIL import Image

from hyper_mcu import cohort, enroll, generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.codegen.rates import Rates, clopper_pearson
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.faces.crops import face_crops

RATES = generator.load().rates


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped generator, as if twelve strangers had been asked about when it was measured."""
    path = tmp_path_factory.mktemp("easy") / "generator.onnx"
    model = onnx.load(str(generator.SHIPPED))
    for entry in model.metadata_props:
        if entry.key == "rates":
            entry.value = json.dumps(asdict(replace(RATES, faces=12)))
    onnx.save(model, str(path))
    return path


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder with a photo of sixteen men, the portrait's among them, a crop of a woman, and what is no photo."""
    folder = tmp_path / "strangers"
    (folder / "more").mkdir(parents=True)
    (folder / "team.jpg").write_bytes(TEAM.read_bytes())
    (folder / "broken.jpg").write_bytes(b"broken")
    (folder / "notes.txt").write_text("not looked at")
    Image.fromarray(face_crops(STRANGER, None, "probe")[0].pixels).save(folder / "more" / "astronaut.png")
    return folder


def test_a_lower_rate_needs_a_higher_threshold(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for rate in ("0.1", "0.01", "1e-3", "1e-4"):
        assert command("enroll", PORTRAIT, "--fmr", rate, "--out", tmp_path / "a.h", "--json") == 0
        told += json.loads(capsys.readouterr().out)["people"]
        assert told[-1]["fmr"] <= float(rate) < 1.2 * told[-1]["fmr"]
        assert told[-1]["fmr"] < told[-1]["fmr_high"]
        assert told[-1]["cohort"] is None
    assert [p["threshold"] for p in told] == sorted({p["threshold"] for p in told})
    assert [p["fnmr"] for p in told] == sorted({p["fnmr"] for p in told})
    assert command("enroll", PORTRAIT, "--out", tmp_path / "a.h", "--json") == 0
    assert json.loads(capsys.readouterr().out)["people"] == [{**told[2], "model": str(tmp_path / "a.h")}]


def test_a_rate_that_so_many_pairs_do_not_show_is_refused(tmp_path: Path, refused: Refused) -> None:
    least = f"{3 / RATES.alone.impostor:.1g}"
    want = f"{least} or more, and less than 1: {RATES.alone.impostor:,} comparisons show no less"
    for rate in ("1e-7", "0", "1"):
        said = refused("enroll", PORTRAIT, "--fmr", rate, "--out", tmp_path / "a.h")
        assert said == f"--fmr: false match rate; expected {want}, got {float(rate):g}"
    assert list(tmp_path.iterdir()) == []


def test_a_generator_that_cannot_show_the_default_says_so(
    easy: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few.onnx"
    model = onnx.load(str(easy))
    (entry,) = (e for e in model.metadata_props if e.key == "rates")
    told = json.loads(entry.value)
    told["alone"] = {"genuine": 100, "impostor": 50, "points": [[1.0, 10, 5], [2.0, 3, 20]]}
    entry.value = json.dumps(told)
    onnx.save(model, str(few))
    warned = "thresholds are for an FMR of 6 %, not 0.1 %: this generator was measured on too few people\n"
    assert command("enroll", PORTRAIT, "--generator", few, "--out", tmp_path / "a.h") == 0
    assert warned in capsys.readouterr().err
    assert command("enroll", PORTRAIT, "--generator", few, "--out", tmp_path / "a.h", "--fmr", "0.06") == 0
    assert warned not in capsys.readouterr().err
    assert command("enroll", PORTRAIT, "--generator", easy, "--out", tmp_path / "a.h") == 0
    assert "not 0.1 %" not in capsys.readouterr().err


def test_strangers_set_the_threshold_and_the_owner_is_none_of_them(
    easy: Path, strangers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("enroll", PORTRAIT, "--generator", easy, "--out", tmp_path / "a.h", "--cohort", strangers, "--fmr", "0.1")
    assert command(*words, "--json") == 0
    said = capsys.readouterr()
    (told,) = json.loads(said.out)["people"]
    assert "broken.jpg" in said.err
    assert "left out of the cohort" in said.err
    assert "yaoming: faces of the cohort left out that may be this person's own: 1\n" in said.err
    g, e = (
        generator.load(easy),
        enroll.embedding(face_crops(PORTRAIT, None, "enrol")[0], "mbf-w600k", lambda step: None),
    )
    p, crops = person_file(tmp_path / "a.h"), [c.pixels for c in face_crops(STRANGER, None, "probe")]
    crops += [c.pixels for c in face_crops(TEAM, "any", "probe")]
    of = backbone().enrol(np.stack(crops))
    others = [i for i in cohort.distinct(of, backbone().limits.same) if of[i] @ e[0] < backbone().limits.same]
    assert len(others) == 15  # he is one of the sixteen men, and two of them look alike
    scores = [p.qnet.score(oracle.run(p.qnet, crops[i]).logit) for i in others]
    mean, sd = g.rates.strangers.moments(e[0], np.array(scores))
    assert p.score == pytest.approx(mean + g.rates.at(0.1, cohort=True).z * sd)
    assert told["score"] == p.score
    matches = sum(s >= p.score for s in scores)
    assert told["cohort"] == {"faces": 15, "matches": matches, "fmr_high": clopper_pearson(matches, 15)[1]}
    assert told["rates_on"].endswith("people, 12 strangers asked about before")
    assert command(*words) == 0
    assert f"; {matches} of this cohort's 15 match: FMR at most " in capsys.readouterr().out


def test_a_cohort_too_small_for_the_rates_is_refused(strangers: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused("enroll", PORTRAIT, "--cohort", strangers, "--out", tmp_path / "a.h")
    want = f"at least {RATES.faces} people, as many as the rates were measured with"
    assert said.startswith(
        f"{strangers}: cohort; expected {want}, got 16, and faces too like one of these: 1; pictures of no use: 1, "
        f"the first {strangers / 'broken.jpg'}: "
    )
    said = refused("enroll", PORTRAIT, "--cohort", tmp_path / "none", "--out", tmp_path / "a.h")
    assert said == f"{tmp_path / 'none'}: no cohort; expected a folder of photos of strangers, got none"
    assert not (tmp_path / "a.h").exists()


def test_a_cohort_of_the_persons_own_photos_is_refused(
    easy: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    """Else the rates would be those of a cohort, and the threshold a guess."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    e = backbone().enrol(face_crops(PORTRAIT, None, "enrol")[0].pixels[None])[0]
    team = [c.pixels for c in face_crops(TEAM, "any", "probe")]
    for i, crop in enumerate([c for c in team if backbone().enrol(c[None])[0] @ e < backbone().limits.same][:11]):
        Image.fromarray(crop).save(own / f"{i}.png")
    said = refused("enroll", PORTRAIT, "--generator", easy, "--cohort", own, "--out", tmp_path / "a.h")
    want = "at least 12 people other than the one enrolled, as many as the rates were measured with"
    assert said == f"{own}: cohort; expected {want}, got 11"
    assert not (tmp_path / "a.h").exists()


def test_a_person_of_the_cohort_counts_once(
    easy: Path, strangers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else one stranger's photos would stand for as many people, and a threshold by them let others in."""
    words = ("enroll", PORTRAIT, "--generator", easy, "--out", tmp_path / "a.h", "--cohort", strangers, "--json")
    assert command(*words) == 0
    alone = json.loads(capsys.readouterr().out)["people"]
    for i in range(9):
        (strangers / f"z{i}.jpg").write_bytes(STRANGER.read_bytes())
    assert command(*words) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["people"] == alone
    assert "left out of the cohort: faces too like another one of it: 10\n" in said.err


def test_a_backbone_that_knows_no_limit_still_knows_a_picture_again(strangers: Path) -> None:
    unknown = replace(backbone(), limits=replace(backbone().limits, same=0.0))
    found = cohort.read(strangers, unknown, 12, lambda paths, _: paths)
    assert (len(found.crops), found.more) == (17, 0)
    assert found.strangers(found.embeddings[3]).tolist() == [i != 3 for i in range(17)]
    (strangers / "z.jpg").write_bytes(STRANGER.read_bytes())
    assert cohort.read(strangers, unknown, 12, lambda paths, _: paths).more in (0, 1)


def test_of_faces_alike_the_first_stays() -> None:
    e = np.array([[1, 0], [0.8, 0.6], [0, 1], [1, 0], [-1, 0]], np.float32)
    assert cohort.distinct(e, 0.9).tolist() == [0, 1, 2, 4]
    assert cohort.distinct(e, 0.7).tolist() == [0, 2, 4]
    assert cohort.distinct(e[:0], 0.7).tolist() == []


def test_where_there_is_no_compiler_the_oracle_answers(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, images = person_file(model).qnet, np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)

    def missing(*_: object) -> None:
        raise MissingToolError("host", "no compiler", "gcc", "none")

    from hyper_mcu.codegen import engine

    by_c = cohort.logits(net, images)
    monkeypatch.setattr(engine, "logits", missing)
    assert cohort.logits(net, images) == by_c


def test_rates_are_kept_in_the_generator() -> None:
    assert isinstance(RATES, Rates)
    assert RATES.faces == 185
    assert RATES.cohort.impostor == RATES.alone.impostor == 370 * 369
