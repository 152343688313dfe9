"""Table II: what each part of the method is worth, by runs that leave one out, over several seeds.

A row is a title and the settings by which it differs from the base. Every run has a folder of its own, ROW/SEED, with
what was measured in result.json; a run that has one is not made again, and one that was stopped goes on. OUT/table.json
and OUT/table.md are written again whenever a run is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import checkpoint, evaluate, finish, pipeline, provenance, start
from hyper_mcu.hypertrain.config import Config, changed, from_json
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.direct import Classifier, embed
from hyper_mcu.hypertrain.hyper import check_set
from hyper_mcu.hypertrain.metrics import equal_error, figures
from hyper_mcu.hypertrain.protocols import EvalSet, Pairs, val_pairs

Figures = dict[str, float]  # by name, 0…1
Measure = Callable[[Config, Path], Figures]  # what a run of some settings in a folder reaches
RESULT = "result.json"
TRUNKS = "trunks"  # the folder in OUT that rows share


@dataclass(frozen=True)
class Run:
    """What a run of some seed reached. best: by stage the step of its best check, 0 where it began; of the stages whose
    checkpoints are still there."""

    seed: int
    figures: Figures
    best: dict[str, int]


Found = dict[str, list[Run]]  # by row; the runs that are done, by seed
Tell = Callable[[Found], None]  # called whenever more runs are done


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
            if not c.direct.steps:
                start.check_plain(c.hgen, c.distill.steps, vars(c.start))
            if c.hyper.steps:
                check_set(c.hyper, faces, pipeline.spec_of(c))
        except UserError as e:
            raise UserError(f"row {name}: {e.where}", e.what, e.expected, e.got) from e


def run(base: Config, chosen: Mapping[str, Row], seeds: int, out: Path, measure: Measure, tell: Tell) -> Found:
    """Every row and seed, those that are done as they were; the others seed by seed, so that an early end leaves whole
    tables. Raises UserError where a run that is done had other settings."""
    settings = {
        (name, seed): changed(base, [*row.overrides, f"run.seed={seed}"])
        for seed in range(seeds)
        for name, row in chosen.items()
    }
    done = {(name, seed): _done(c, out, name) for (name, seed), c in settings.items()}

    def found() -> Found:
        return {name: [r for seed in range(seeds) if (r := done[name, seed])] for name in chosen}

    if any(done.values()):
        tell(found())
    for (name, seed), c in settings.items():
        if done[name, seed] is None:
            folder = out / name / str(seed)
            figures = measure(c, folder)
            stored = {"config": json.loads(c.to_json()), "figures": figures}
            files.write(folder / RESULT, json.dumps(stored, indent=2) + "\n")
            done[name, seed] = _done(c, out, name)
            tell(found())
    return found()


def _done(c: Config, out: Path, name: str) -> Run | None:
    """What the run of a row with these settings reached, if it is done."""
    folder = out / name / str(c.run.seed)
    if not (folder / RESULT).is_file():
        return None
    try:
        stored = json.loads((folder / RESULT).read_bytes())
        before, figures = json.dumps(stored["config"]), {str(k): float(v) for k, v in stored["figures"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        want = "config and figures as JSON, or no such file"
        raise UserError(folder / RESULT, "no result of a run", want, type(e).__name__) from e
    began = from_json(before)
    pipeline.agree(c, began)
    stages = (out / TRUNKS / pipeline.trunk_key(began), folder / "hyper", folder / "direct")
    kept = [checkpoint.about(best) for stage in stages if (best := stage / "best.safetensors").is_file()]
    return Run(c.run.seed, figures, {a.stage: a.step for a in kept})


def held_out_error(trained: pipeline.Trained) -> float:
    """EER on the pairs of held-out people by which thresholds are chosen (protocols.val_pairs), float."""
    pairs = val_pairs(trained.faces, impostors=24)
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


def about(base: Config, seeds: int, faces: Faces, sets: Mapping[str, EvalSet]) -> dict[str, Any]:
    """What is trained by which program, and on what, as plain values for JSON."""
    return {
        **provenance.program(),
        "config": json.loads(base.to_json()),
        "seeds": seeds,
        "data": {
            "images": len(faces.names),
            "people": len(np.unique(faces.identity[faces.identity != ""])),
            "broken_images": len(faces.broken),
            "sha256": faces.sha256,
        },
        "sets": {
            name: {
                "pairs": len(s.pairs.same),
                "broken_images": len(s.faces.broken),
                "pairs_sha256": s.pairs_sha256,
                "crops_sha256": s.crops_sha256,
            }
            for name, s in sets.items()
        },
    }


def summary(chosen: Mapping[str, Row], found: Found) -> dict[str, Any]:
    """The rows as plain values for JSON: every run, mean and SD over seeds (null of one seed)."""
    rows = {}
    for name, runs in found.items():
        over = {k: [r.figures[k] for r in runs if k in r.figures] for k in _names(found)}
        rows[name] = {
            "title": chosen[name].title,
            "overrides": chosen[name].overrides,
            "runs": [{"seed": r.seed, "figures": r.figures, "best_step": r.best} for r in runs],
            "mean": {k: float(np.mean(v)) for k, v in over.items() if v},
            "sd": {k: _sd(v) for k, v in over.items() if v},
        }
    return {"units": {"figures": "share, 0 to 1", "best_step": "steps of the stage"}, "rows": rows}


def table(chosen: Mapping[str, Row], found: Found) -> str:
    """Mean ± SD over seeds in percent as a table in Markdown, and what a reader has to know below it."""
    names, marks = _names(found), list[str]()
    lines = [["", "seeds", *(f"{name}, %" for name in names)]]
    for key, runs in found.items():
        title = chosen[key].title
        if stuck := [f"{stage} of seed {r.seed}" for r in runs for stage, step in r.best.items() if step == 0]:
            marks.append(f"[{len(marks) + 1}] best at the first check, before any step: {', '.join(stuck)}")
            title += f" [{len(marks)}]"
        cells = (_cell([100 * r.figures[k] for r in runs if k in r.figures], len(runs)) for k in names)
        lines.append([title, str(len(runs)), *cells])
    width = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width[0], *("-" * (w - 1) + ":" for w in width[1:])])
    rows = (
        [line[0].ljust(width[0]), *(cell.rjust(w) for cell, w in zip(line[1:], width[1:], strict=True))]
        for line in lines
    )
    said = ["mean ± SD over seeds; val EER: of people held out of training; the others: accuracy over ten folds; float"]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", "\n\n".join(said + marks)])


def _names(found: Found) -> list[str]:
    """The figures that any run has."""
    return list(dict.fromkeys(k for runs in found.values() for r in runs for k in r.figures))


def _cell(values: list[float], runs: int) -> str:
    """Mean and, of two seeds or more, SD; how many seeds where not all runs of the row have the figure."""
    if not values:
        return "not run"
    spread = _sd(values)
    return (
        f"{np.mean(values):.2f}"
        + (f" ± {spread:.2f}" if spread is not None else "")
        + (f" ({len(values)} of {runs})" if len(values) < runs else "")
    )


def _sd(values: list[float]) -> float | None:
    """Standard deviation (n − 1), of two values or more."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
