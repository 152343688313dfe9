"""`hyper-mcu inspect`: what a model.h or person.bin holds, layer by layer, and what a generator promises."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyper_mcu.cli import percent
from hyper_mcu.codegen.rates import TARGETS

if TYPE_CHECKING:
    from hyper_mcu.codegen.person import Person

HEADER = ("stage", "layer", "output", "MACs", "weights", "|sum| ≤", "scale")


def layers(p: Person) -> list[dict[str, Any]]:
    """One row a stage: what it is, its output, MACs, weights, and how full its accumulators and bytes can get."""
    from hyper_mcu.codegen.netspec import Conv

    rows = []
    for stage, q in zip(p.qnet.spec.stages, p.qnet.stages, strict=True):
        c = stage.layer
        row: dict[str, Any] = {
            "stage": stage.index,
            "layer": f"{c.k}×{c.k} s{c.stride} g{c.groups}" if isinstance(c, Conv) else f"add stage {c.of}",
            "shuffle": stage.shuffle,
            "output": list(stage.out_shape),
            "macs": stage.macs,
            "weights": 0,
        }
        if q is not None:
            row |= {
                "weights": q.weight.size,
                "accumulator_bound": int(q.peak.max()),
                "accumulator_bits": int(q.peak.max()).bit_length() + 1,
                "out_scale": float(q.out_scale),
            }
        rows.append(row)
    return rows


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as its line of the table."""
    h, w, c = row["output"]
    return (
        str(row["stage"]),
        row["layer"] + (f" shuffle {row['shuffle']}" if row["shuffle"] > 1 else ""),
        f"{h}×{w}×{c}",
        f"{row['macs']:,}",
        f"{row['weights']:,}",
        f"{row['accumulator_bound']:,}" if "accumulator_bound" in row else "",
        f"{row['out_scale']:.5f}" if "out_scale" in row else "",
    )


def person(p: Person, model: Path, data: bytes) -> dict[str, Any]:
    """What a person's file holds, as plain values; data: the bytes of the file `model`."""
    from hyper_mcu.codegen.layout import person_bytes, session_bytes
    from hyper_mcu.codegen.permute import bits
    from hyper_mcu.codegen.person_bin import pack

    spec = p.qnet.spec
    return {
        "model": str(model), "name": p.name, "netspec": spec.id, "netspec_sha256": spec.sha256, "params": spec.params,
        "macs": spec.macs, "threshold": p.threshold, "score": p.score, "fmr": p.fmr, "fnmr": p.fnmr,
        "rates_on": p.rates_on, "file_bytes": len(data), "person_bytes": person_bytes(p),
        "blob_bytes": len(pack(p, for_device=True)), "session_bytes": session_bytes(spec),
        "sha256": sha256(data).hexdigest(), "qnet_sha256": p.qnet.sha256(),
        "head_bound": p.qnet.head.reach(spec.head_peak), "permutation_bits": round(bits(spec), 1),
        "provenance": asdict(p.provenance), "layers": layers(p),
    }  # fmt: skip


def person_text(p: Person, told: dict[str, Any]) -> str:
    """The same for people; told: what `person` says of p."""
    from hyper_mcu.cli import framed

    head, made = p.qnet.spec.head, p.provenance
    over = f"{p.qnet.spec.head_size} {'channel sums' if head.pool else 'elements'}"
    return (
        f"{p.name}: {told['netspec']}, {told['params']:,} parameters, {told['macs']:,} MACs\n"
        f"{framed(HEADER, map(cells, told['layers']))}\n"
        "s: stride, g: groups; scale: of one step of the output\n"
        f"|sum|: |bias| + 256·Σ|w| of these very weights, no image reaches further; a net may reach {2**30 - 1:,}\n"
        f"head {head.kind} over {over}: |sum| ≤ {told['head_bound']:,}, at most {2**31 - 1:,}; "
        f"match iff logit ≥ {p.threshold:,}\n"
        f"that is a score of {p.score:.4f}: FMR {percent(p.fmr)}, FNMR {percent(p.fnmr)} on {p.rates_on}\n"
        f"flash {told['person_bytes']:,} B for the person in a program, {told['blob_bytes']:,} B as a blob; "
        f"RAM {told['session_bytes']:,} B for a session\n"
        f"orders of the channels that leave every logit as it is: 2^{told['permutation_bits']:,}; enroll --permute "
        "draws one, and nothing in the file says whether it did\n"
        f"the file itself: {told['file_bytes']:,} B, with what the host alone reads\n"
        f"made by {made.tool}, backbone {made.backbone} {made.backbone_sha256[:16]}, "
        f"generator {made.generator_sha256[:16]}"
    )


def is_generator(path: Path) -> bool:
    """Whether to read the file as a generator: every .onnx but a person's export, which `person_in` refuses by name."""
    from hyper_mcu.codegen.kinds import EXPORTS, kind

    return path.suffix == ".onnx" and not (path.is_file() and kind(path.read_bytes()) in EXPORTS)


def generator(path: Path) -> dict[str, Any]:
    """What a generator file says of itself, as plain values; raises UserError where it is none."""
    from hyper_mcu.generator import load

    g = load(path)
    return {
        "generator": str(path), "sha256": g.sha256, "netspec": g.spec.id, "netspec_sha256": g.spec.sha256,
        "norm": g.spec.norm, "params": g.spec.params, "macs": g.spec.macs, "personal": g.personal, "first": g.first,
        "stages": len(g.spec.stages), "backbone": g.backbone, "backbone_sha256": g.backbone_sha256,
        **g.rates.told(),
        "scales": [float(s) for s in g.scales], "scales_learned": g.learned, "trained": g.trained,
    }  # fmt: skip


def rates_text(told: dict[str, Any]) -> str:
    """`Rates.told` for people."""
    each = [
        f"at FMR {percent(r['target'])} FNMR {percent(r['alone']['fnmr'])}, with cohort {percent(r['cohort']['fnmr'])}"
        for r in told["rates"]
    ]
    if not each:
        return f"on {told['rates_on']}: so few show no FMR of {percent(max(TARGETS))} or less (rule of three)"
    return f"on {told['rates_on']}: {'; '.join(each)} ({told['faces']} strangers asked about before)"


def generator_text(g: dict[str, Any]) -> str:
    """The same for people."""
    own = g["stages"] - g["first"]
    share = f"those of the head and of {own} of {g['stages']} stages" if g["first"] else "all of them"
    return (
        f"{g['generator']}: writes {g['netspec']}, {g['params']:,} parameters, {g['macs']:,} MACs, normalisation "
        f"{g['norm']}\n"
        f"personal: {g['personal']:,} of {g['params']:,} weights, {share}\n"
        f"reads embeddings of {g['backbone']} {g['backbone_sha256'][:16]}\n"
        f"{rates_text(g)}\n"
        f"scales {'learned in training' if g['scales_learned'] else 'calibrated after training'}\n"
        f"SHA-256 {g['sha256']}"
    )


@click.command("inspect")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(model: Path, as_json: bool) -> None:
    """Print what MODEL holds: its layers, its threshold and what that stands for, and what made it.

    MODEL may be a generator.onnx too: the nets that it writes, how many of their weights are personal, its backbone,
    its error rates, and with --json the settings of its training.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.files import read
    from hyper_mcu.codegen.person_file import FORMS, person_in

    if is_generator(model):
        told = generator(model)
        text = generator_text(told)
    else:
        data = read(model, FORMS)
        p = person_in(data, model)
        told = person(p, model, data)
        text = person_text(p, told)
    if as_json:
        cli.emit_json(told)
    else:
        click.echo(text)
