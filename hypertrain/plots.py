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
    rows: Sequence[Mapping[str, str]], ours: Sequence[Mapping[str, Any]], path: Path, on: str = "cfp_fp"
) -> None:
    """Table I of the paper as two scatter plots in one PNG: accuracy on one set against parameters of the net that
    infers, and against its multiply-accumulates, both in millions on logarithmic axes.

    rows: model, infer_params_m, mflops and a column a set (COLUMNS), "" where the paper has no figure; a model is left
    out of a plot that it has no figure for. ours: name, params, macs, accuracy (%), sd (%) of nets by this program.
    """
    fig, axes = _figure(2, (11, 4.6))
    for ax, column, label in (
        (axes[0], "infer_params_m", "parameters of the net that infers, millions"),
        (axes[1], "mflops", "MFLOPs of one inference, as the paper counts them (ours: multiply-accumulates)"),
    ):
        unit = 1e6
        others = [(r["model"], float(r[column]), float(r[on])) for r in rows if r[column] and r[on]]
        for name, x, y in others:
            own = name.startswith("Paper ")
            ax.plot(x, y, "D" if own else "o", color="tab:red" if own else "0.45", ms=6 if own else 4)
        for o in ours:
            x = o["params" if column == "infer_params_m" else "macs"] / unit
            ax.errorbar(x, o["accuracy"], o["sd"], fmt="*", ms=11, color="tab:blue", capsize=3, lw=1)
            others.append((o["name"], x, o["accuracy"]))
        ax.set(xscale="log", xlabel=label, ylabel=f"{COLUMNS[on]}, accuracy, %")
        ax.grid(color="0.92")
        ax.margins(0.12, 0.08)
        _name(ax, others)
    _save(fig, path)


def _name(ax: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points; points that lie close together are named in one column beside them, in their order."""
    spans = [np.ptp(np.log10([p[1] for p in points])) or 1.0, np.ptp([p[2] for p in points]) or 1.0]
    used: list[tuple[float, float]] = []
    for name, x, y in sorted(points, key=lambda p: -p[2]):
        at = y
        while any(abs(np.log10(x) - u) < 0.22 * spans[0] and abs(at - v) < 0.034 * spans[1] for u, v in used):
            at -= 0.034 * spans[1]
        used.append((float(np.log10(x)), at))
        line = {"arrowstyle": "-", "color": "0.75", "lw": 0.5} if at != y else None
        left = np.log10(x) > np.log10(max(p[1] for p in points)) - 0.25 * spans[0]
        offset = x / 10 ** (0.015 * spans[0]) if left else x * 10 ** (0.015 * spans[0])
        side = "right" if left else "left"
        ax.annotate(name, (x, y), (offset, at), fontsize=6.5, va="center", ha=side, arrowprops=line)


def _figure(columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, columns, figsize=size, constrained_layout=True, squeeze=False)
    return fig, list(axes[0])


def _save(fig: Figure, path: Path) -> None:
    import matplotlib.pyplot as plt

    with files.replacing(path) as part:
        fig.savefig(part, dpi=120, format="png")
    plt.close(fig)
