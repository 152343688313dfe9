"""benchmarks/: the documents have the tables of the results; what rows of comparisons belong together; what counts."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from generators import POINTWISE, trained_like, unit
from synthetic_faces import faces

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.generator import Generator
from hyper_mcu.hypertrain import data, evaluate
from hyper_mcu.hypertrain.hgen import Shape
from hyper_mcu.hypertrain.protocols import Pairs

Benchmark = Callable[[str], ModuleType]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module


@pytest.fixture
def personal(benchmark: Benchmark) -> Iterator[ModuleType]:
    with torch.no_grad():
        yield benchmark("personal")


def test_results_are_of_the_shipped_generator(benchmark: Benchmark) -> None:
    documents = benchmark("documents")
    assert documents.stale(documents.Results()) == []


def test_documents_have_the_tables_of_the_results(benchmark: Benchmark) -> None:
    documents = benchmark("documents")
    tables = documents.made(documents.Results())
    for document, table in tables:
        assert table.startswith(("|", " oracle "))
        assert f"\n{table}\n" in (ROOT / document).read_text(encoding="utf-8"), documents.__doc__


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of one row, of 5 steps, that is made already."""
    people = faces({"train": 2, "val": 2}, photos=2, side=112)
    monkeypatch.setattr(data, "load", lambda *_: people)
    found = {"eer": 0.1, "fnmr_1e-02": 0.2, "fnmr_1e-03": 0.3, "seconds": 9.0, "commit": "abc"}
    text = {"faces_sha256": people.sha256, "steps": 5, "changes": {"one": ["a.b=1"]}, "rows": {"one": {"0": found}}}
    (tmp_path / "rows.json").write_text(json.dumps(text))
    return tmp_path / "rows.json"


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        ({"one": ["a.b=1"]}, {}, ""),
        ({"one": ["a.b=2"]}, {}, "has row one of other settings: a.b=1"),
        ({"one": ["a.b=1"]}, {"steps": 6}, "has rows of another kind: steps 5, not 6"),
        ({"one": ["a.b=1"]}, {"only": "two"}, "--only: no rows: two"),
    ],
)
def test_a_table_has_rows_of_one_kind(
    benchmark: Benchmark, kept: Path, capsys: pytest.CaptureFixture[str], rows: dict, options: dict, text: str
) -> None:
    comparison = benchmark("comparison")
    parser = comparison.parser("", 5, "steps")
    told = parser.parse_args(["--faces", str(kept.parent), "--save", str(kept)])
    told = Namespace(**{**vars(told), **options})
    was = kept.read_text()
    if not text:
        comparison.run(parser, told, rows, lambda *_: pytest.fail("made again"), (), {})
        assert "| one | 10.00 % | 20.0 % | 30.0 % | 9 | 1 |" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit):
        comparison.run(parser, told, rows, lambda *_: pytest.fail("made"), (), {})
    assert text in capsys.readouterr().err
    assert kept.read_text() == was


def test_a_row_that_cannot_be_made_is_named_and_the_others_are_kept(
    benchmark: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [("one", 0), ("no settings", 0), ("one", 2)]
    found = sorted(benchmark("comparison").results_of(_share, wanted, (0.5,), 2))
    assert found == [("one", 0, 0.5), ("one", 2, 2.5)]
    assert capsys.readouterr().out == "no settings, seed 0: a.b: of this row; expected some, got none\n"


def _share(row: str, seed: int, share: float) -> float:
    if row == "no settings":
        raise UserError("a.b", "of this row", "some", "none")
    return seed + share


def test_comparisons_that_share_people_spread_wider(benchmark: Benchmark) -> None:
    by_people, rng = benchmark("held_out").by_people, np.random.default_rng(0)
    alone = rng.standard_normal((300, 300)).astype(np.float32)
    of_people = alone + rng.standard_normal((300, 1)) + rng.standard_normal(300)
    assert by_people(alone, (0.1, 0.01)) == {k: pytest.approx(1, abs=0.2) for k in ("fmr_1e-01", "fmr_1e-02")}
    assert by_people(of_people, (0.1, 0.01))["fmr_1e-01"] > 5
    others, rates, deviations = ~np.eye(40, dtype=bool), [], []
    for _ in range(200):  # of many draws it is the very standard deviation
        x = rng.standard_normal((40, 40)) + rng.standard_normal((40, 1))
        rates.append(float((x > 2)[others].mean()))
        (times,) = by_people(x.astype(np.float32), rates[-1:]).values()
        deviations.append(times * np.sqrt(rates[-1] * (1 - rates[-1]) / others.sum()))
    assert np.mean(deviations) == pytest.approx(np.std(rates), rel=0.15)


def test_rates_of_a_set_are_of_its_own_people(benchmark: Benchmark) -> None:
    held_out, rng = benchmark("held_out"), np.random.default_rng(0)
    people = [f"{group}/{group}{i:02}" for group, count in (("few", 3), ("one", 10), ("two", 12)) for i in range(count)]
    names = np.array([f"{person}/{k}.webp" for person in people for k in range(2)])
    identity = np.array([name.rpartition("/")[0] for name in names])
    seen = Namespace(identity=identity, names=names)
    scores = rng.random((len(people), len(names))).astype(np.float32)
    of_one = np.char.startswith(names, "one")
    scores[3:13, of_one] += 1  # people of one are alike to each other, and to nobody else
    own = np.array(people)[:, None] == identity[None]
    scores[own] = 3
    found = held_out.by_set(scores, seen, np.arange(len(names)))
    assert list(found) == ["one", "two"]
    assert [(t["people"], t["genuine"]) for t in found.values()] == [(10, 10), (12, 12)]
    assert found["one"]["fmr_1e-02"] == pytest.approx(0.01 * (~own).sum() / (2 * 10 * 9), rel=0.1)
    assert found["two"]["fmr_1e-02"] == found["two"]["fnmr_1e-03"] == found["two"]["eer"] == 0


def test_people_whom_an_unlabelled_image_may_show_are_left_out(benchmark: Benchmark) -> None:
    seen = faces({"val": 4, "unlabelled": 3}, photos=2, side=112)
    val, nobody = seen.select("val"), seen.select("unlabelled")
    e = np.zeros_like(seen.embeddings)
    e[np.arange(len(e)), :, np.arange(len(e))] = 1  # nobody is like anybody
    seen = replace(seen, embeddings=e)
    never_shown = benchmark("held_out").never_shown
    assert never_shown(seen, val).tolist() == val.tolist()
    e[nobody[0]] = e[val[3]]  # a photo of the second person
    assert set(seen.identity[val]) - set(seen.identity[never_shown(seen, val)]) == {seen.identity[val[3]]}


def test_what_embeddings_tell_of_strangers_is_what_a_person_s_scale_can_be_guessed_from(benchmark: Benchmark) -> None:
    held_out, seen = benchmark("held_out"), faces({"train": 40, "val": 12}, photos=2, side=112)
    val, train = seen.select("val"), seen.select("train")
    index, first = val[held_out.first_photos(seen, val)], train[held_out.first_photos(seen, train)]
    cosines = seen.teacher(index) @ seen.teacher(first).T
    z = np.arange(11) - 5
    z = z / z.std()  # of each person's 11 strangers: mean 0, spread 1, the highest at 1.58 and the next at 1.26
    strangers = np.array([np.insert(z, i, 1.4) for i in range(12)])  # and the person's own second photo at 1.4
    scores = 0.5 - 2 * cosines.mean(1)[:, None] + 3 * cosines.std(1)[:, None] * strangers
    told = held_out.strangers_told(scores[:, np.unique(seen.identity[val], return_inverse=True)[1]], seen, val)
    assert (told["mean"], told["sd"]) == pytest.approx((-1, 1), abs=1e-4)
    assert told["by_mean"]["fnmr_1e-01"] > 0 == told["by_both"]["fnmr_1e-01"] == told["known"]["fnmr_1e-01"]


def test_a_crop_has_the_same_defects_each_time_and_another_one_others(benchmark: Benchmark) -> None:
    trunks, people = benchmark("trunks"), faces({"val": 30}, photos=1, side=128)
    seen = trunks.Seen(people.crops, trunks.damaged)
    assert seen.shape == seen[:].shape == (len(people.crops), 112, 112, 3)
    assert (seen[:] == seen[:]).all()
    assert (seen[3] == seen[2:5][1]).all()
    away = [(seen[i].astype(float) - people.crops[i, 8:120, 8:120]).std() for i in range(len(seen))]
    assert len(set(np.round(away, 3))) > 20


def test_a_damaged_copy_is_not_asked_about_its_own_photo(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    quality, people = benchmark("quality"), faces({"val": 20}, photos=3, side=112)
    seen = list[Pairs]()

    def scored(*words: object) -> dict[str, np.ndarray]:
        (pairs,) = (w for w in words if isinstance(w, Pairs))
        seen.append(pairs)
        return {"float": np.random.default_rng(0).random(len(pairs.same))}

    monkeypatch.setattr(evaluate, "score_pairs", scored)
    index = people.select("val")
    first = np.unique(people.identity[index], return_index=True)[1]
    generator = Generator.__new__(Generator)
    for name in ("spec", "weights"):
        object.__setattr__(generator, name, None)
    copies = 1000 + np.arange(len(first))
    quality.asked(generator, people, copies, index, people.identity[index[first]], index[first])
    (pairs,) = seen
    assert set(pairs.enrol) == set(copies)
    assert pairs.same.sum() == 2 * len(first)
    assert not (pairs.probe == index[first][pairs.enrol - 1000]).any()


def test_dimensions_are_those_that_hold_the_variance(personal: ModuleType) -> None:
    torch.manual_seed(0)
    weights = torch.randn(200, 3) * torch.tensor([10.0, 3.0, 0.1])
    raw = torch.ones(40) + weights @ torch.linalg.qr(torch.randn(40, 3))[0].T
    found = personal.change(raw)
    assert found["dimensions"] == [1, 2, 2]
    assert found["change"] == pytest.approx((109.01 / 40) ** 0.5, rel=0.1)


def test_a_net_of_which_the_head_alone_is_personal_has_no_rows_of_stages(personal: ModuleType) -> None:
    hgen = trained_like(POINTWISE, Shape(16, 24, 3, first=4))
    assert list(personal.written(hgen)) == ["head.weight"]
    assert list(personal.rows(hgen, unit(3, 16))) == [
        "as generated", "all but the head shared", "and the head linear in e",
    ]  # fmt: skip


def test_what_is_everybodys_is_the_mean_and_the_rest_stays(personal: ModuleType) -> None:
    hgen, e = trained_like(POINTWISE, Shape(16, 24, 3, first=2)), unit(5, 16)
    raw, places = hgen.raw(e), personal.written(hgen)
    assert list(places) == ["stage2.weight", "stage2.bias", "stage3.weight", "stage3.bias", "head.weight"]
    rows = personal.rows(hgen, e)
    assert torch.equal(rows["as generated"], raw)
    for name, theta in rows.items():
        alike = {n for n, p in places.items() if bool((theta[:, p] == theta[0, p]).all())}
        want = {
            "as generated": set(),
            "stage2 shared": {"stage2.weight", "stage2.bias"},
            "stage3 shared": {"stage3.weight", "stage3.bias"},
            "weights of stage2 and stage3 shared": {"stage2.weight", "stage3.weight"},
            "biases of stage2 and stage3 shared": {"stage2.bias", "stage3.bias"},
        }.get(name, set(places) - {"head.weight"})
        assert alike == want, name
        for n, p in places.items():
            if name != "and the head linear in e" or n != "head.weight":
                torch.testing.assert_close(theta[:, p].mean(0), raw[:, p].mean(0))
    head = places["head.weight"]
    own = rows["and the head linear in e"][:, head] - e @ hgen.linear.T
    torch.testing.assert_close(own, own[:1].expand_as(own))
    torch.testing.assert_close(own[0], (raw[:, head] - e @ hgen.linear.T).mean(0))
