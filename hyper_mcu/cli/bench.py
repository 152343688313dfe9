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
NOTES = """\
RAM: session and stack touched; ≤: what the stack cannot exceed, by the compiler's call graph
cycles: modelled for a Cortex-M4 whose memory never waits: one an instruction; one for each word of a load or
store beyond its first; one for a load that no load or store follows; two for a taken branch; six for a division
peers, instructions a MAC: CMSIS-NN 99f736a6 and esp-nn d45b843 (its optimised C), gcc 12.2 -O2; ≈: for a layer of
that kind and another size; in all on ANOTHER network, 4.96 M MACs of the same kinds of layers, whose maps take 88 KB.
Ratios depend on the mix of layers."""
GROUPS_3X3 = "3x3 in groups, alone"


def ratio(n: int | None, macs: int) -> float | None:
    """n a MAC, where both are there."""
    return round(n / macs, 4) if n is not None and macs else None


def layer(p: Part, modelled: bool) -> dict[str, Any]:
    """A part of a verification as `--json` prints it."""
    return {
        "name": p.name,
        "stage": p.stage,
        "kind": p.kind,
        "macs": p.macs,
        "instructions": p.instructions,
        "instructions_per_mac": ratio(p.instructions, p.macs),
        "modelled_cycles": p.cycles if modelled else None,
    }


def groups_3x3(layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All 3x3 convolutions in groups as a layer of `--json`."""
    those = [x for x in layers if x["kind"] and x["kind"].startswith("3x3") and x["kind"].endswith("in groups")]
    sums = {key: sum(x[key] or 0 for x in those) for key in ("macs", "instructions", "modelled_cycles")}
    per_mac = ratio(sums["instructions"], sums["macs"])
    return {"name": GROUPS_3X3, "stage": None, "kind": None, **sums, "instructions_per_mac": per_mac}


def figures(c: Costs, macs: int) -> dict[str, Any]:
    """What a target costs as `--json` prints it."""
    layers = [layer(p, c.cycles is not None) for p in c.parts]
    return {
        "toolchain": c.toolchain,
        "emulator": c.emulator,
        "instructions": c.instructions,
        "instructions_per_mac": ratio(c.instructions, macs),
        "groups_3x3_instructions_per_mac": groups_3x3(layers)["instructions_per_mac"],
        "modelled_cycles": c.cycles,
        "modelled_cycles_per_mac": ratio(c.cycles, macs),
        "ram_bytes": c.session_bytes + c.stack_bytes,
        "session_bytes": c.session_bytes,
        "stack_bytes": c.stack_bytes,
        "stack_bound_bytes": c.stack_bound,
        "person_bytes": c.person_bytes,
        "text_bytes": c.text_bytes,
        "rodata_bytes": c.rodata_bytes,
        "layers": layers,
    }


def result(people: Sequence[Person], targets: Sequence[str], images: int, kernels: str, say: Any) -> dict[str, Any]:
    """The costs of `people`, of one network, on the targets, each asked about `images` generated images. A target whose
    tools are not installed, or that has not the instructions of the kernels, only says `not_run`, and why."""
    from hyper_mcu.codegen.bench import generated, measure, varying
    from hyper_mcu.codegen.errors import MissingToolError, UserError
    from hyper_mcu.codegen.kernels.variants import wrong_core
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
        except UserError as e:
            if not (kernels and wrong_core(kernels, e.got)):
                raise
            told[target.name] = {"not_run": f"the {kernels} kernels do not compile for it"}
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


def peers_figure(target: str, layer: dict[str, Any]) -> str:
    """What the peer of a target needs for that layer."""
    from hyper_mcu.peers import peers

    figure = peers(target, layer["name"], layer["kind"])
    return number(figure and figure.per_mac) if figure is None or figure.same else f"≈{figure.per_mac:.2f}"


def layers_text(name: str, t: dict[str, Any], macs: int) -> str:
    """A target's table, layer by layer."""
    total = {**t, "name": "in all", "stage": None, "kind": None, "macs": macs}
    alone = groups_3x3(t["layers"])
    rows = []
    for x in (*t["layers"], total, *([alone] if alone["macs"] else [])):
        what = x["name"] if x["stage"] is None else f"{x['stage']}: {x['name']}"
        cells = (x["macs"] or None, x["instructions"], x["instructions_per_mac"])
        cycles = (x["modelled_cycles"], ratio(x["modelled_cycles"], x["macs"])) if t["modelled_cycles"] else ()
        rows.append((what, *map(number, cells), peers_figure(name, x), *map(number, cycles)))
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
    from hyper_mcu.peers import PEERS

    header = ("", "instr./MAC", "peer's", "cycles/MAC", "RAM B", "stack B", "≤", "person B", ".text B", ".rodata B")
    rows = []
    for name, t in ran(told).items():
        peer = f"{PEERS[name].name} {number(PEERS[name].whole)}" if name in PEERS else number(None)
        cells = (t["modelled_cycles_per_mac"], t["ram_bytes"], t["stack_bytes"], t["stack_bound_bytes"])
        flash = (t["person_bytes"], t["text_bytes"], t["rodata_bytes"])
        rows.append((name, number(t["instructions_per_mac"]), peer, *map(number, (*cells, *flash))))
    return table(header, rows)


def counted(n: int, one: str, several: str) -> str:
    """1 person, 2 people."""
    return f"{n} {one if n == 1 else several}"


def remarks(told: dict[str, Any]) -> list[str]:
    """What has not run, what varies, what the columns are."""
    lines = [f"{name}: not run: {t['not_run']}" for name, t in told["targets"].items() if "not_run" in t]
    people, images = counted(len(told["people"]), "person", "people"), counted(told["images"], "image", "images")
    asked = f"{people}, {images}" + " each" * (len(told["people"]) > 1)
    for name, t in ran(told).items():
        if t["layers"]:
            spans = [f"{part} {low:,}…{high:,}" for part, (low, high) in t["varies"].items()]
            said = "the same instructions" if not spans else f"NOT always the same instructions: {', '.join(spans)}"
            lines.append(f"{name}: {asked}: {said}")
    return [*lines, NOTES] if ran(told) else lines


@click.command("bench")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--targets", default=TARGETS, show_default=True, metavar="NAME[,NAME]", help="host has no counts.")
@click.option("--preset", "preset_name", help="Of the network, without MODEL.  [default: paper]")
@click.option("--people", default=1, show_default=True, metavar="N", type=click.IntRange(1, 99), help="Without MODEL.")
@click.option(
    "--images", default=2, show_default=True, metavar="N", type=click.IntRange(1, 99), help="Generated ones, for each."
)
@click.option("--kernels", metavar="NAME", help="A variant of the kernels; else the compiler's choice for the target.")
@click.option(
    "--plot",
    "plot_to",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Bars of each layer beside the peers', also as .svg; needs matplotlib.",
)
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    model: Path | None,
    targets: str,
    preset_name: str | None,
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
    from hyper_mcu import bench_plot, cli
    from hyper_mcu.codegen.bench import seeded
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.kernels.variants import variant_named
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.codegen.presets import preset
    from hyper_mcu.codegen.targets import target_named

    names = list(dict.fromkeys(target_named(name.strip()).name for name in targets.split(",")))
    if kernels is not None:
        variant_named(kernels)
    if model and people > 1:
        raise UserError("--people", "MODEL is one person", "no --people beside it", people)
    if model and preset_name is not None:
        raise UserError("--preset", "MODEL has a network", "no --preset beside it", preset_name)
    if plot_to:
        bench_plot.check(plot_to)
    with cli.bar(not json_wanted) as (say, _):
        spec = preset(preset_name or "paper")
        shown = [person_file(model)] if model else [seeded(spec, i + 1) for i in range(people)]
        told = result(shown, names, images, kernels or "", say)
    if plot_to and ran(told):
        bench_plot.save(told, plot_to)
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
        raise UserError("bench", "no target ran", "one with compiler, emulator and these kernels", "none")
