"""Pictures: whole PNG files, and what is drawn in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="needs hyper-mcu[train]: matplotlib")

from matplotlib.figure import Figure
from scipy.stats import norm

from hyper_mcu.hypertrain import metrics, plots

ROWS = [
    {"model": "Big", "infer_params_m": "3.4", "mflops": "1100", "cfp_fp": "95.8"},
    {"model": "No FLOPs", "infer_params_m": "5.3", "mflops": "", "cfp_fp": "93.5"},
    {"model": "Not measured", "infer_params_m": "1", "mflops": "1", "cfp_fp": ""},
    {"model": "Paper X", "infer_params_m": "0.023", "mflops": "5.4", "cfp_fp": "95.6"},
]
OURS = [{"name": "ours", "params": 23_000, "macs": 5_300_000, "accuracy": 70.0, "sd": 1.5}]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *words: object, **settings: object) -> None:
        kept.append(self)
        save(self, *words, **settings)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_det_plot_is_drawn_in_normal_deviates(tmp_path: Path, drawn: list[Figure]) -> None:
    rng = np.random.default_rng(0)
    fmr, fnmr = metrics.trade_off(rng.normal(2, 1, 2000), rng.normal(0, 1, 2000))
    plots.det({"int8": (fmr, fnmr)}, tmp_path / "det.png", "a title")
    (axes,) = drawn[0].axes
    line = next(x for x in axes.lines if x.get_label() == "int8")
    x, y = line.get_data()
    assert np.isfinite([x, y]).all()
    slope = np.polyfit(x[50:-50], y[50:-50], 1)
    assert slope == pytest.approx([-1, -2], abs=0.1)  # two normal distributions, two deviations apart: a straight line
    ticks = {t.get_text(): v for t, v in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    assert ticks["10"] == norm.ppf(0.1)
    assert axes.get_title() == "a title"
    with Image.open(tmp_path / "det.png") as picture:
        picture.load()
        assert picture.format == "PNG"
    assert [p.name for p in tmp_path.iterdir()] == ["det.png"]


def test_det_plot_of_scores_that_are_all_told_apart_is_a_picture_too(tmp_path: Path) -> None:
    plots.det({"int8": metrics.trade_off(np.ones(5), np.zeros(5))}, tmp_path / "det.png")
    assert (tmp_path / "det.png").stat().st_size > 1000


def test_table_1_shows_each_model_where_it_has_figures_and_names_all(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.table1(ROWS, OURS, tmp_path / "table1.png", title="what")
    params, operations, names = drawn[0].axes
    assert [t.get_text() for t in names.texts] == [
        " 1 Big: 95.8", " 2 Paper X: 95.6", " 3 No FLOPs: 93.5", " 4 ours: 70.0 ± 1.5"
    ]  # fmt: skip
    assert [t.get_text() for t in params.texts] == ["1", "2", "3", "4"]
    assert [t.get_text() for t in operations.texts] == ["1", "2", "4"]
    points = {tuple(float(v[0]) for v in x.get_data()) for x in operations.lines if len(x.get_xdata()) == 1}
    assert {(1100.0, 95.8), (5.4, 95.6), (5.3, 70.0)} <= points
    assert params.get_xscale() == operations.get_xscale() == "log"


def test_numbers_of_close_points_do_not_cover_each_other(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"model": str(i), "infer_params_m": "1", "mflops": "100", "cfp_fp": f"{95 + i / 100}"} for i in range(9)]
    plots.table1(rows, OURS, tmp_path / "table1.png")
    places = np.array([t.xyann for t in drawn[0].axes[0].texts])
    apart = np.abs(places[:, None] - places[None])
    free = (apart[..., 0] >= 0.02) | (apart[..., 1] >= 0.03) | np.eye(len(places), dtype=bool)
    assert free.all()
