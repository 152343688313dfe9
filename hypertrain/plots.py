"""Pictures of what was measured: the error trade-off of an evaluation, and the paper's Table I with our rows in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from hyper_mcu.codegen import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENT = (0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 80)  # marks of a DET plot's axes
COLUMNS = {
    "lfw": "LFW", "calfw": "CA-LFW", "cplfw": "CP-LFW", "cfp_fp": "CFP-FP", "agedb30": "AgeDB-30", "vgg2_fp": "VGG2-FP"
}  # fmt: skip


def det(curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], path: Path, title: str = "") -> None:
    """DET plot as PNG: FNMR against FMR, both in normal deviates (Martin et al., "The DET curve in assessment of
    detection task performance", 1997).

    curves: (FMR, FNMR) by label, as metrics.trade_off gives them. A curve is drawn where both of its rates have been
    seen: 0 and 1 lie at infinity.
    """
    fig, axes = _figure(1, (5.6, 5.2))
    low = 1.0
    for label, (fmr, fnmr) in curves.items():
        seen = (fmr > 0) & (fmr < 1) & (fnmr > 0) & (fnmr < 1)
        style = "-" if label.startswith("int8") else "--"
        axes[0].plot(norm.ppf(fmr[seen]), norm.ppf(fnmr[seen]), style, lw=1.3, label=label)
        low = min([low, *fmr[seen], *fnmr[seen]])
    marks = [p for p in PERCENT if p / 100 >= low / 2]
    first = norm.ppf(min(low, marks[0] / 100) * 0.8)
    axes[0].plot([first, 0], [first, 0], color="0.8", lw=0.8, zorder=0)
    limits = (first, norm.ppf(0.9))
    at, names = [norm.ppf(p / 100) for p in marks], [f"{p:g}" for p in marks]
    axes[0].set(xlim=limits, ylim=limits, xlabel="false match rate, %", ylabel="false non-match rate, %", title=title)
    axes[0].set_xticks(at, names, fontsize=8)
    axes[0].set_yticks(at, names, fontsize=8)
    axes[0].grid(color="0.92")
    axes[0].set_aspect("equal")
    axes[0].legend(frameon=False, loc="upper right")
    _save(fig, path)


def table1(
    rows: Sequence[Mapping[str, str]],
    ours: Sequence[Mapping[str, Any]],
    path: Path,
    on: str = "cfp_fp",
    title: str = "",
) -> None:
    """Table I of the paper as two scatter plots in one PNG: accuracy on one set against parameters of the net that
    infers, and against its operations, both on logarithmic axes. Points are numbered, and the numbers named beside.

    rows: model, infer_params_m, mflops and a column a set (COLUMNS), "" where the paper has no figure; a model is left
    out of a plot that it has no figure for. The paper's own nets are named "Paper …". ours: name, params, macs,
    accuracy (%), sd (%) of nets by this program.
    """
    fig, axes = _figure(3, (12, 4.8), (1, 1, 0.5))
    measured = sorted((r for r in rows if r[on]), key=lambda r: -float(r[on]))
    own = [r["model"].startswith("Paper ") for r in measured]
    for ax, column, label in (
        (axes[0], "infer_params_m", "parameters of the net that infers, millions"),
        (axes[1], "mflops", "million operations of one inference (ours: multiply-accumulates)"),
    ):
        points = [(float(r[column] or "nan"), float(r[on])) for r in measured]
        for (x, y), papers in zip(points, own, strict=True):
            ax.plot(x, y, "D" if papers else "o", color="tab:red" if papers else "0.45", ms=6 if papers else 4)
        for o in ours:
            x = o["params" if column == "infer_params_m" else "macs"] / 1e6
            ax.errorbar(x, o["accuracy"], o["sd"], fmt="*", ms=11, color="tab:blue", capsize=3, lw=1)
            points.append((x, o["accuracy"]))
        ax.set(xscale="log", xlabel=label, ylabel=f"{COLUMNS[on]}, accuracy, %")
        ax.grid(color="0.92")
        ax.margins(0.1, 0.06)
        fig.canvas.draw()  # fixes the axes' limits, in which the numbers are placed
        _number(ax, points)
    names = [f"{n:2} {r['model']}: {float(r[on]):.1f}" for n, r in enumerate(measured, 1)]
    names += [f"{n:2} {o['name']}: {o['accuracy']:.1f} ± {o['sd']:.1f}" for n, o in enumerate(ours, len(measured) + 1)]
    axes[2].axis("off")
    colours = ["tab:red" if papers else "0.25" for papers in own] + ["tab:blue"] * len(ours)
    for n, (name, colour) in enumerate(zip(names, colours, strict=True)):
        axes[2].text(0, 1 - (n + 1) / (len(names) + 1), name, fontsize=7.5, color=colour, family="monospace")
    fig.suptitle(title, fontsize=9)
    _save(fig, path)


def _number(ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    """The number of each point (1 for the first) beside it, at the free place that is nearest."""
    across, down = 0.036, 0.032  # of the axes: the room of a number
    at = [tuple(ax.transAxes.inverted().transform(ax.transData.transform(p))) for p in points]
    used = [p for p in at if np.isfinite(p).all()]
    moves = [(i * across / 2, j * down / 2) for i in range(-12, 13) for j in range(-12, 13)]
    moves.sort(key=lambda m: (np.hypot(m[0] / across, m[1] / down), -m[0]))
    for number, (x, y) in enumerate(at, 1):
        if not np.isfinite([x, y]).all():
            continue
        free = (
            (x + i, y + j)
            for i, j in moves
            if all(abs(x + i - u) >= across * 0.7 or abs(y + j - v) >= down for u, v in used)
        )
        place = next(free, (x, y))
        used.append(place)
        far = np.hypot(place[0] - x, place[1] - y) > 2 * down
        line = {"arrowstyle": "-", "color": "0.7", "lw": 0.5, "shrinkB": 0} if far else None
        ax.annotate(
            str(number), (x, y), place, "axes fraction", "axes fraction", fontsize=7, ha="center", va="center",
            arrowprops=line,
        )  # fmt: skip


def _figure(
    columns: int, size: tuple[float, float], widths: tuple[float, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(
        1, columns, figsize=size, constrained_layout=True, squeeze=False, gridspec_kw={"width_ratios": widths}
    )
    return fig, list(axes[0])


def _save(fig: Figure, path: Path) -> None:
    import matplotlib.pyplot as plt

    with files.replacing(path) as part:
        fig.savefig(part, dpi=120, format="png")
    plt.close(fig)
