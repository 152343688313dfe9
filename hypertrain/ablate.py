"""Table II: what each part of the method is worth, by runs that leave one out, over several seeds.

A row is a title and the settings by which it differs from the base. Every run has a folder of its own, ROW/SEED, with
what was measured in result.json; a run that has one is not made again, and one that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import evaluate, finish, pipeline
from hyper_mcu.hypertrain.config import Config, changed, from_json
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.direct import Classifier, embed
from hyper_mcu.hypertrain.hyper import check_set
from hyper_mcu.hypertrain.metrics import equal_error, figures
from hyper_mcu.hypertrain.protocols import EvalSet, Pairs, val_pairs

Figures = dict[str, float]  # by name, 0…1
Found = dict[str, list[Figures]]  # by row, one a seed
Measure = Callable[[Config, Path], Figures]  # what a run of some settings in a folder reaches


@dataclass(frozen=True)
class Row:
    """A row of the table: its title, and its settings over the base as `section.key=value`."""

    title: str
    overrides: tuple[str, ...]


def rows(base: Config) -> dict[str, Row]:
    """The rows of Table II, in its order, for a base that has everything.

    Raises UserError for a base that lacks what a row takes away.
    """
    for key, there in (("hyper.clusters", base.hyper.clusters), ("hyper.alpha_to", base.hyper.alpha_to)):
        if not there:
            raise UserError(key, "nothing to leave out", "above 0 in the base of ablations", there)
    if base.hyper.mixtures or base.hyper.noise:
        got = f"{base.hyper.mixtures} and {base.hyper.noise:g}"
        raise UserError("hyper.mixtures", "only of plain embeddings", "mixtures and noise 0 in every row", got)
    steps = base.distill.steps + base.hyper.steps
    return {
        "direct": Row("Training f directly", ("distill.steps=0", "hyper.steps=0", f"direct.steps={steps}")),
        "layers": Row("Multiple h_gen input layers", (f"backbone.name={base.backbone.name}:stages",)),
        "no-kcs": Row("Ours w/o KCS", ("hyper.clusters=0",)),
        "no-norm": Row("Ours w/o L_norm", ("hyper.alpha_from=0.0", "hyper.alpha_to=0.0")),
        "full": Row("Ours", ()),
        "large": Row("Ours, larger model", ("net.preset=large",)),
    }


def check(base: Config, chosen: Mapping[str, Row], faces: Faces) -> None:
    """Raises UserError, which names the row, where one could not be trained on that set: before any of them is."""
    for name, row in chosen.items():
        try:
            c = changed(base, row.overrides)
            if c.hyper.steps:
                check_set(c.hyper, faces, pipeline.spec_of(c))
        except UserError as e:
            raise UserError(f"row {name}: {e.where}", e.what, e.expected, e.got) from e


def run(base: Config, chosen: Mapping[str, Row], seeds: int, out: Path, measure: Measure) -> Found:
    """Figures of every row and seed; seed by seed, so that an early end leaves whole tables."""
    found: Found = {name: [] for name in chosen}
    for seed in range(seeds):
        for name, row in chosen.items():
            c = changed(base, [*row.overrides, f"run.seed={seed}"])
            found[name].append(_once(c, out / name / str(seed), measure))
    return found


def _once(c: Config, folder: Path, measure: Measure) -> Figures:
    path = folder / "result.json"
    if path.exists():
        stored = json.loads(path.read_text())
        pipeline.agree(c, from_json(json.dumps(stored["config"])))
        return dict(stored["figures"])
    reached = measure(c, folder)
    files.write(path, json.dumps({"config": json.loads(c.to_json()), "figures": reached}, indent=2) + "\n")
    return reached


def held_out_error(trained: pipeline.Trained) -> float:
    """EER on the pairs of held-out people by which thresholds are chosen (protocols.val_pairs), float."""
    pairs = val_pairs(trained.faces)
    s = scores(trained, trained.faces, pairs)
    return equal_error(s[pairs.same], s[~pairs.same]).eer


def accuracy(trained: pipeline.Trained, chosen: EvalSet) -> float:
    """Ten-fold accuracy of float scores, the first photo of each pair enrolled."""
    pairs, made = chosen.pairs, chosen.made(chosen.pairs)
    s = np.full(len(made), np.nan)
    s[made] = scores(trained, chosen.faces, pairs.only(made))
    return figures(s, pairs.same, pairs.fold, made).accuracy_mean


def scores(trained: pipeline.Trained, faces: Faces, pairs: Pairs) -> NDArray[np.float64]:
    """Float scores (P,) of generated nets; of f trained directly the cosines of its embeddings. Either way a person is
    enrolled by the crop and its mirror image."""
    module = trained.module
    if not isinstance(module, Classifier):
        weights = finish.weights_of(module.hgen)
        return evaluate.score_pairs(trained.spec, weights, None, faces, pairs)["float"]
    index = np.unique(np.concatenate([pairs.enrol, pairs.probe]))
    plain, mirrored = (embed(module, faces, index, mirror) for mirror in (False, True))
    enrolled = plain + mirrored
    enrolled /= np.linalg.norm(enrolled, axis=1, keepdims=True)
    at = {row: i for i, row in enumerate(index.tolist())}
    first, second = ([at[row] for row in rows.tolist()] for rows in (pairs.enrol, pairs.probe))
    cosines: NDArray[np.float64] = (enrolled[first] * plain[second]).sum(1).astype(np.float64)
    return cosines


def table(chosen: Mapping[str, Row], found: Found) -> str:
    """Mean ± SD over seeds in percent, a line a row."""
    names = list(dict.fromkeys(k for values in found.values() for v in values for k in v))
    lines = [f"{'':28}" + "".join(f"{name:>18}" for name in names)]
    for key, values in found.items():
        cells = (_cell([100 * v[name] for v in values if name in v]) for name in names)
        lines.append(f"{chosen[key].title:28}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "not run"
    return f"{np.mean(values):.2f}" + (f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")
