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


def test_strangers_set_the_threshold_and_the_owner_is_none_of_them(
    easy: Path, strangers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("enroll", PORTRAIT, "--generator", easy, "--out", tmp_path / "a.h", "--cohort", strangers, "--fmr", "0.1")
    assert command(*words, "--json") == 0
    said = capsys.readouterr()
    (told,) = json.loads(said.out)["people"]
    assert "broken.jpg" in said.err
    assert "left out of the cohort" in said.err
    assert "yaoming: of the cohort 1 of this person's own faces left out\n" in said.err
    g, e = (
        generator.load(easy),
        enroll.embedding(face_crops(PORTRAIT, None, "enrol")[0], "mbf-w600k", lambda step: None),
    )
    p, crops = person_file(tmp_path / "a.h"), [c.pixels for c in face_crops(TEAM, "any", "probe")]
    others = [c for c in crops if backbone().enrol(c[None])[0] @ e[0] < backbone().limits.agree]
    assert len(others) == 15  # he is one of the sixteen
    scores = [
        p.qnet.score(oracle.run(p.qnet, c).logit) for c in (*others, face_crops(STRANGER, None, "probe")[0].pixels)
    ]
    mean, sd = g.rates.strangers.moments(e[0], np.array(scores))
    assert p.score == pytest.approx(mean + g.rates.at(0.1, cohort=True).z * sd)
    assert told["score"] == p.score
    matches = sum(s >= p.score for s in scores)
    assert told["cohort"] == {"faces": 16, "matches": matches, "fmr_high": clopper_pearson(matches, 16)[1]}
    assert told["rates_on"].endswith("people, 12 strangers asked about before")
    assert command(*words) == 0
    assert f"; {matches} of this cohort's 16 match: FMR at most " in capsys.readouterr().out


def test_a_cohort_too_small_for_the_rates_is_refused(strangers: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused("enroll", PORTRAIT, "--cohort", strangers, "--out", tmp_path / "a.h")
    want = f"at least {RATES.faces} faces, as many as the rates were measured with"
    assert said == f"{strangers}: cohort; expected {want}, got 17"
    said = refused("enroll", PORTRAIT, "--cohort", tmp_path / "none", "--out", tmp_path / "a.h")
    assert said == f"{tmp_path / 'none'}: no cohort; expected a folder of photos of strangers, got none"
    assert not (tmp_path / "a.h").exists()


def test_a_cohort_of_the_persons_own_photos_is_refused(
    easy: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    """Else the rates would be those of a cohort, and the threshold a guess."""
    own = tmp_path / "own"
    own.mkdir()
    for i in range(12):
        (own / f"{i}.jpg").write_bytes(PORTRAIT.read_bytes())
    said = refused("enroll", PORTRAIT, "--generator", easy, "--cohort", own, "--out", tmp_path / "a.h")
    want = "at least 12 faces of other people than the one enrolled, as many as the rates were measured with"
    assert said == f"{own}: cohort; expected {want}, got 0"
    assert not (tmp_path / "a.h").exists()


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
