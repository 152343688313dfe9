"""benchmarks/documents.py, personal.py: the documents have the tables of the results; what counts as personal."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from generators import POINTWISE, trained_like, unit

from hyper_mcu.hypertrain.hgen import Shape

ROOT = Path(__file__).parents[2]


@pytest.fixture
def personal(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    with torch.no_grad():
        yield import_module("personal")


def test_documents_have_the_tables_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    documents = import_module("documents")
    tables = documents.made(documents.Results())
    assert len(tables) == len(documents.TABLES)
    for document, table in tables:
        assert table.count("\n")
        assert f"\n{table}\n" in (ROOT / document).read_text(encoding="utf-8"), documents.__doc__


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
