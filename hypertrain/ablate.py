"""Table II: what each part of the method is worth, by runs that leave one out, over several seeds.

A row is a name and the settings by which it differs from the base. Every run has a folder of its own, ROW/SEED, with
what was measured in result.json; a run that has one is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import pipeline
from hyper_mcu.hypertrain.config import Config, changed, from_json

Measure = Callable[[Config, Path], dict[str, float]]  # settings and a run's folder → figures, 0…1


@dataclass(frozen=True)
class Row:
    """A row of the table: its title, and its settings over the base as `section.key=value`."""

    title: str
    overrides: tuple[str, ...]


def rows(base: Config, layers: tuple[str, ...]) -> dict[str, Row]:
    """The rows of Table II for a base that has everything. layers: of the backbone, for the row that reads several.

    Raises UserError for a base that lacks what a row takes away.
    """
    for key, there in (("hyper.clusters", base.hyper.clusters), ("hyper.alpha_to", base.hyper.alpha_to)):
        if not there:
            raise UserError(key, "nothing to leave out", "above 0 in the base of ablations", there)
    steps = base.distill.steps + base.hyper.steps
    return {
        "direct": Row("Training f directly", ("distill.steps=0", "hyper.steps=0", f"direct.steps={steps}")),
        "layers": Row("Multiple h_gen input layers", (f"backbone.layers={json.dumps(layers)}", *_plain(base))),
        "no-kcs": Row("w/o KCS", ("hyper.clusters=0",)),
        "no-norm": Row("w/o L_norm", ("hyper.alpha_from=0", "hyper.alpha_to=0")),
        "full": Row("Ours", ()),
        "large": Row("Ours, larger f", ("net.preset=large",)),
    }


def _plain(base: Config) -> tuple[str, ...]:
    """Noise and mixtures are of plain embeddings alone."""
    return ("hyper.mixtures=0", "hyper.noise=0") if base.hyper.mixtures or base.hyper.noise else ()


def ablate(
    base: Config, chosen: dict[str, Row], seeds: int, out: Path, measure: Measure
) -> dict[str, dict[str, list[float]]]:
    """Figures of every row, one value a seed: {row: {figure: [values]}}."""
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):  # seed by seed, so that an early end leaves whole tables
        for name, row in chosen.items():
            c = changed(base, [*row.overrides, f"run.seed={seed}"])
            folder = out / name / str(seed)
            for figure, value in _once(c, folder, measure).items():
                found.setdefault(name, {}).setdefault(figure, []).append(value)
    return found


def _once(c: Config, folder: Path, measure: Measure) -> dict[str, float]:
    """What a run measured: read where it is done, else made; one that was stopped goes on."""
    path = folder / "result.json"
    if path.exists():
        stored = json.loads(path.read_text())
        pipeline.agree(c, from_json(json.dumps(stored["config"])))
        return dict(stored["figures"])
    figures = measure(c, folder)
    files.write(path, json.dumps({"config": json.loads(c.to_json()), "figures": figures}, indent=2) + "\n")
    return figures


def table(chosen: dict[str, Row], found: dict[str, dict[str, list[float]]]) -> str:
    """Mean ± SD over seeds in percent, a line a row."""
    figures = list(next(iter(found.values())))
    lines = [f"{'':30}" + "".join(f"{f:>20}" for f in figures)]
    for name, values in found.items():
        cells = (_mean(values.get(f, [])) for f in figures)
        lines.append(f"{chosen[name].title:30}" + "".join(f"{c:>20}" for c in cells))
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    if not values:
        return "not run"
    spread = f" ± {100 * np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.2f}{spread} %"
