"""`hyper-mcu bench`: what a person's network costs on emulated cores, layer by layer, beside what others measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.codegen.bench import Costs, Part
    from hyper_mcu.codegen.person import Person

TARGETS = "m3,m4,m7,m33,m55,rv32imc"
PEERS = {  # instructions per MAC of a whole network, and of the three layers of it that paper@1 has too
    "m3": ("CMSIS-NN", 5.92, (5.49, 3.65, 5.98)),
    "m4": ("CMSIS-NN", 4.93, (4.77, 2.69, 4.95)),
    "m7": ("CMSIS-NN", 5.06, (4.88, 2.65, 5.11)),
    "m33": ("CMSIS-NN", 4.92, (4.77, 2.68, 4.95)),
    "m55": ("CMSIS-NN", 1.59, (1.42, 0.62, 1.66)),
    "rv32imc": ("esp-nn", 13.7, (17.5, 8.24, 13.5)),
}
PEERS_LAYERS = (
    "3x3, stride 2, 112x112x3 to 56x56x16",
    "1x1, 28x28x32 to 28x28x32",
    "3x3, stride 2, 28x28x32 to 14x14x64 in 8 groups of 4 to 8",
)
NOTES = """\
RAM: session and stack touched; ≤: what the stack cannot exceed, by the compiler's call graph
cycles: modelled for a Cortex-M4 whose memory never waits: one an instruction; one for each word of a load or
store beyond its first; one for a load that no load or store follows; two for a taken branch; six for a division
peers, instructions a MAC: CMSIS-NN 99f736a6 and esp-nn d45b843 (its optimised C), gcc 12.2 -O2; in all on ANOTHER
network, 4.96 M MACs of the same kinds of layers, whose maps take 88 KB. Ratios depend on the mix of layers."""


def ratio(n: int | None, macs: int) -> float | None:
    """n a MAC, where both are there."""
    return round(n / macs, 4) if n is not None and macs else None


def layer(p: Part, modelled: bool) -> dict[str, Any]:
    """A part of a verification as `--json` prints it."""
    return {
        "name": p.name,
        "stage": p.stage,
        "macs": p.macs,
        "instructions": p.instructions,
        "instructions_per_mac": ratio(p.instructions, p.macs),
        "modelled_cycles": p.cycles if modelled else None,
    }


def figures(c: Costs, macs: int) -> dict[str, Any]:
    """What a target costs as `--json` prints it."""
    return {
        "toolchain": c.toolchain,
        "emulator": c.emulator,
        "instructions": c.instructions,
        "instructions_per_mac": ratio(c.instructions, macs),
        "modelled_cycles": c.cycles,
        "modelled_cycles_per_mac": ratio(c.cycles, macs),
        "ram_bytes": c.session_bytes + c.stack_bytes,
        "session_bytes": c.session_bytes,
        "stack_bytes": c.stack_bytes,
        "stack_bound_bytes": c.stack_bound,
        "person_bytes": c.person_bytes,
        "text_bytes": c.text_bytes,
        "rodata_bytes": c.rodata_bytes,
        "layers": [layer(p, c.cycles is not None) for p in c.parts],
    }


def result(people: Sequence[Person], targets: Sequence[str], images: int, kernels: str, say: Any) -> dict[str, Any]:
    """The costs of `people`, of one network, on the targets, each asked about `images` generated images; what is not
    installed is a target that only says `not_run`, with what installs it."""
    from hyper_mcu.codegen.bench import generated, measure, varying
    from hyper_mcu.codegen.errors import MissingToolError
    from hyper_mcu.codegen.targets import target_named

    spec = people[0].qnet.spec
    told: dict[str, Any] = {}
    for i, target in enumerate(map(target_named, targets)):
        say(f"bench on {target.name}: {i + 1} of {len(targets)}")
        try:
            costs = [measure(p, target, generated(spec, images), kernels=kernels) for p in people]
        except MissingToolError as e:
            told[target.name] = {"not_run": str(e)}
            continue
        varies = {name: list(span) for name, span in varying(costs).items()}
        told[target.name] = {**figures(costs[0], spec.macs), "varies": varies}
    return {
        "netspec": spec.id,
        "netspec_sha256": spec.sha256,
        "params": spec.params,
        "macs": spec.macs,
        "people": [p.name for p in people],
        "images": images,
        "kernels": kernels or "of the compiler's choice",
        "targets": told,
    }


def ran(told: dict[str, Any]) -> dict[str, Any]:
    """The targets of a result that ran."""
    return {name: t for name, t in told["targets"].items() if "not_run" not in t}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what is in them, all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [[cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
             for row in (header, *rows)]  # fmt: skip
    return "\n".join("  ".join(line).rstrip() for line in lines)


def number(value: float | None) -> str:
    """A figure, or a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def peers_layer(target: str, layer: str) -> float | None:
    """What the peer of a target takes a MAC for the very same layer, where that was measured."""
    known = dict(zip(PEERS_LAYERS, PEERS[target][2], strict=True)) if target in PEERS else {}
    return known.get(layer)


def layers_text(name: str, t: dict[str, Any], macs: int) -> str:
    """A target's table, layer by layer."""
    total = {**t, "name": "in all", "stage": None, "macs": macs}
    rows = []
    for x in (*t["layers"], total):
        what = x["name"] if x["stage"] is None else f"{x['stage']}: {x['name']}"
        cells = (x["macs"] or None, x["instructions"], x["instructions_per_mac"], peers_layer(name, x["name"]))
        cycles = (x["modelled_cycles"], ratio(x["modelled_cycles"], x["macs"])) if t["modelled_cycles"] else ()
        rows.append((what, *map(number, (*cells, *cycles))))
    header = (
        "layer",
        "MACs",
        "instructions",
        "a MAC",
        "peer's",
        *(("cycles", "a MAC") if t["modelled_cycles"] else ()),
    )
    by = ", ".join(x for x in (t["toolchain"], t["emulator"]) if x)
    return f"{name} by {by}\n{table(header, rows)}"


def summary(told: dict[str, Any]) -> str:
    """All targets, a line each."""
    header = ("", "instr./MAC", "peer's", "cycles/MAC", "RAM B", "stack B", "≤", "person B", ".text B", ".rodata B")
    rows = []
    for name, t in ran(told).items():
        peer, per_mac, _ = PEERS.get(name, ("", None, ()))
        cells = (t["modelled_cycles_per_mac"], t["ram_bytes"], t["stack_bytes"], t["stack_bound_bytes"])
        flash = (t["person_bytes"], t["text_bytes"], t["rodata_bytes"])
        row = (number(t["instructions_per_mac"]), f"{peer} {number(per_mac)}".strip(), *map(number, (*cells, *flash)))
        rows.append((name, *row))
    return table(header, rows)


def remarks(told: dict[str, Any]) -> list[str]:
    """What has not run, what varies, what the columns are."""
    lines = [f"{name}: not run: {t['not_run']}" for name, t in told["targets"].items() if "not_run" in t]
    asked = f"{len(told['people'])} people × {told['images']} images"
    for name, t in ran(told).items():
        if t["layers"]:
            spans = [f"{part} {low:,}…{high:,}" for part, (low, high) in t["varies"].items()]
            said = "the same instructions" if not spans else f"NOT always the same instructions: {', '.join(spans)}"
            lines.append(f"{name}: {asked}: {said}")
    return [*lines, NOTES]


def plot(told: dict[str, Any], path: Path) -> None:
    """Bars of instructions per MAC for each stage, a panel a target, with the peer's same layers and whole network.

    Raises UserError where matplotlib is not installed.
    """
    from hyper_mcu.codegen import install
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import replacing

    try:
        from matplotlib.figure import Figure
    except ImportError as e:
        raise UserError("--plot", "needs matplotlib", install.extra("plot"), "no such package") from e
    counted = {name: t for name, t in ran(told).items() if t["layers"]}
    if not counted:
        raise UserError("--plot", "nothing was counted", "a target other than host, and a host compiler", "none")
    figure = Figure(figsize=(10, 1.2 + 1.8 * len(counted)), layout="constrained")
    panels = figure.subplots(len(counted), squeeze=False, sharex=True)[:, 0]
    for axes, (name, t) in zip(panels, counted.items(), strict=True):
        stages = [x for x in t["layers"] if x["stage"] is not None]
        numbers = [str(x["stage"]) for x in stages]
        axes.bar(numbers, [x["instructions_per_mac"] or 0 for x in stages])
        axes.axhline(t["instructions_per_mac"], linewidth=1, label=f"in all {t['instructions_per_mac']:.2f}")
        if name in PEERS:
            peer, per_mac, _ = PEERS[name]
            same = [(n, y) for n, x in zip(numbers, stages, strict=True) if (y := peers_layer(name, x["name"]))]
            axes.plot(*zip(*same, strict=True), "k_", markersize=24, label=f"{peer}, the same layer") if same else None
            axes.axhline(per_mac, color="gray", linestyle=":", label=f"{peer}, another network: {per_mac:.2f}")
        axes.set_ylabel(f"{name}\ninstructions / MAC")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
    panels[-1].set_xlabel(f"stage of {told['netspec']}")
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png")


@click.command("bench")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--targets", default=TARGETS, show_default=True, metavar="NAME[,NAME]", help="host has no counts.")
@click.option("--preset", "preset_name", default="paper", show_default=True, help="Of the network, without MODEL.")
@click.option("--people", default=1, show_default=True, metavar="N", type=click.IntRange(1, 99), help="Without MODEL.")
@click.option(
    "--images", default=2, show_default=True, metavar="N", type=click.IntRange(1, 99), help="Generated ones, for each."
)
@click.option("--kernels", metavar="NAME", help="A variant of the kernels; else the compiler's choice for the target.")
@click.option("--plot", "plot_to", metavar="FILE.png", type=click.Path(path_type=Path), help="Needs matplotlib.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    model: Path | None,
    targets: str,
    preset_name: str,
    people: int,
    images: int,
    kernels: str | None,
    plot_to: Path | None,
    json_wanted: bool,
) -> None:
    """Count what MODEL, a model.h or person.bin, costs on emulated cores; without it, people with random weights.

    All of hm_verify is counted, exactly and in the product's own code: checking the person, every layer with its
    requantisation and loops, keeping rows, the score. Cycles are modelled, for a Cortex-M4 alone.

    Exit code 0: some target ran, 2: error, or none did.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.bench import seeded
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import check_place
    from hyper_mcu.codegen.kernels.variants import VARIANTS
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.codegen.presets import preset
    from hyper_mcu.codegen.targets import target_named

    names = list(dict.fromkeys(name.strip() for name in targets.split(",")))
    for name in names:
        target_named(name)
    if kernels is not None and kernels not in (known := [v.name for v in VARIANTS]):
        raise UserError("--kernels", "unknown", "one of " + ", ".join(known), kernels or "nothing")
    if model and people > 1:
        raise UserError("--people", "MODEL is one person", "no --people beside it", people)
    if plot_to:
        check_place(plot_to)
    with cli.bar(not json_wanted) as (say, _):
        shown = [person_file(model)] if model else [seeded(preset(preset_name), i + 1) for i in range(people)]
        told = result(shown, names, images, kernels or "", say)
    if plot_to and ran(told):
        plot(told, plot_to)
    if json_wanted:
        cli.emit_json({"bench": str(model) if model else "random weights", **told})
    else:
        who = shown[0].name if model else "random weights"
        click.echo(f"{who}: {told['netspec']}, {told['params']:,} parameters, {told['macs']:,} MACs\n")
        for name, t in ran(told).items():
            if t["layers"]:
                click.echo(layers_text(name, t, told["macs"]) + "\n")
        click.echo(summary(told) + "\n" if ran(told) else "", nl=bool(ran(told)))
        click.echo("\n".join(remarks(told)))
    if not ran(told):
        raise UserError("bench", "no target ran", "one", "none")
