"""A result of `hyper-mcu bench` as a picture: instructions per MAC of each layer, ours beside the peers'."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hyper_mcu.codegen import files, install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kernels.variants import VARIANTS
from hyper_mcu.peers import GOALS, PEERS, Figure, peers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

FORMATS = (".png", ".svg")
OURS, SAME, LIKE, GOAL = "tab:blue", "0.45", "0.75", "tab:red"
WIDTH = 0.4  # of a bar


class Bars(NamedTuple):
    """A group of bars: its label, and instructions per MAC, ours and the peer's."""

    label: str
    ours: float
    peer: Figure | None


def check(path: Path) -> None:
    """Raises UserError where no picture can be written to `path`: of another format, or without matplotlib."""
    if path.suffix not in FORMATS:
        raise UserError("--plot", "unknown format", "a name that ends in " + " or ".join(FORMATS), path.name)
    try:
        import matplotlib.figure  # noqa: F401  whether it is there
    except ImportError as e:
        raise UserError("--plot", "needs matplotlib", install.extra("plot"), "no such package") from e
    files.check_place(path)


def bars(target: str, t: dict[str, Any]) -> list[Bars]:
    """The groups of a target's figures: a layer each, then the whole network, where the peer's is another one."""
    groups = [
        Bars(label(x), x["instructions_per_mac"], peers(target, x["name"], x["kind"]))
        for x in t["layers"]
        if x["stage"] is not None and x["macs"]
    ]
    whole = Figure(PEERS[target].whole, same=False) if target in PEERS else None
    return [*groups, Bars("in all", t["instructions_per_mac"], whole)]


def label(layer: dict[str, Any]) -> str:
    """A stage's number and kind, in narrow lines."""
    kind: str = layer["kind"].replace(", ", "\n").replace(" in ", "\nin ")
    return f"{layer['stage']}: {kind}"


def picture(told: dict[str, Any]) -> Picture:
    """A panel for each target that was counted, of bench's JSON; raises UserError where none was."""
    from matplotlib.figure import Figure as Picture
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    counted = {name: t for name, t in told["targets"].items() if t.get("layers")}
    if not counted:
        raise UserError("--plot", "nothing was counted", "a target other than host, and a host compiler", "none")
    drawn = Picture(figsize=(8, 1.1 + 1.7 * len(counted)), layout="constrained")
    panels = drawn.subplots(len(counted), squeeze=False, sharex=True)[:, 0]
    for axes, (name, t) in zip(panels, counted.items(), strict=True):
        _panel(axes, name, bars(name, t))
    drawn.supylabel("instructions per multiply-accumulate", fontsize=9)
    chosen = f", {told['kernels']} kernels" if told["kernels"] in {v.name for v in VARIANTS} else ""
    keys = [
        Patch(color=OURS, label=f"hyper-mcu, {told['netspec']}{chosen}"),
        Patch(color=SAME, label="peer, the same layer"),
        Patch(color=LIKE, label="peer, a layer of its kind; in all: another network"),
        Line2D([], [], color=GOAL, marker=">", ms=5, ls="", label="goal"),
    ]
    drawn.legend(handles=keys, loc="outside upper center", ncols=len(keys), frameon=False, fontsize=8)
    return drawn


def _panel(axes: Axes, target: str, groups: list[Bars]) -> None:
    ours = axes.bar([i - WIDTH / 2 for i in range(len(groups))], [g.ours for g in groups], WIDTH, color=OURS)
    axes.bar_label(ours, [_number(g.ours) for g in groups], fontsize=7)
    for i, peer in enumerate(g.peer for g in groups):
        if peer:
            bar = axes.bar(i + WIDTH / 2, peer.per_mac, WIDTH, color=SAME if peer.same else LIKE)
            axes.bar_label(bar, [_number(peer.per_mac)], fontsize=7)
    if target in GOALS:
        axes.plot(len(groups) - 1 - WIDTH, GOALS[target], ">", color=GOAL, ms=5)  # points at the bar of the whole
    against = f", peer {PEERS[target].name}" if target in PEERS else ""
    axes.set_title(f"{target}{against}", fontsize=9, loc="left")
    axes.set_xticks(range(len(groups)), [g.label for g in groups], fontsize=7)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    axes.margins(x=0.01, y=0.15)


def _number(per_mac: float) -> str:
    return f"{per_mac:.2f}" if per_mac < 10 else f"{per_mac:.1f}"


def save(told: dict[str, Any], path: Path) -> None:
    """Writes the picture of bench's JSON as PNG or SVG, by the suffix; the same bytes whenever that is done."""
    from matplotlib import rc_context

    drawn, form = picture(told), path.suffix[1:]
    with files.replacing(path) as part, rc_context({"svg.hashsalt": "hyper-mcu"}):
        drawn.savefig(part, dpi=120, format=form, metadata={"Date": None} if form == "svg" else None)
