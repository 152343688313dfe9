"""Controlled comparisons: rows of one table, each a training under one budget, made by several processes and kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from record import about

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import data, distill, pipeline, views
from hyper_mcu.hypertrain.config import Config

Figures = dict[str, float]
T = TypeVar("T")


def parser(description: str, steps: int, of: str) -> argparse.ArgumentParser:
    """What every comparison is told. of: what a step takes."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--faces", type=Path, required=True, help="folder with train.csv")
    p.add_argument("--steps", type=int, default=steps, help=of)
    p.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N − 1")
    p.add_argument("--only", default="", metavar="ROW[;ROW]", help="of the rows; else all")
    p.add_argument("--processes", type=int, default=2, help="runs at a time, a thread each")
    p.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    p.add_argument("--save", type=Path, required=True, help="the figures, as JSON")
    return p


def run(
    p: argparse.ArgumentParser,
    o: argparse.Namespace,
    rows: Mapping[str, Sequence[str]],
    figures: Callable[..., Figures],
    given: Sequence[Any],
    told: Mapping[str, Any],
) -> None:
    """Makes what is missing of the rows and seeds in o.save: figures(row, seed, *given), each with the commit of the
    code that made it. told: what the file says beside, of all rows. Leaves by p.error for rows that are none, and a
    file of other images, steps or whatever else is told, or of rows that changed something else."""
    chosen = o.only.split(";") if o.only else list(rows)
    if unknown := set(chosen) - set(rows):
        p.error(f"--only: no rows: {'; '.join(sorted(unknown))}")
    faces = data.load(o.faces, o.cache)  # embedded once, not by every process
    told = json.loads(json.dumps({**told, "steps": o.steps, "faces_sha256": faces.sha256}))
    was: dict[str, Any] = json.loads(o.save.read_text()) if o.save.exists() else {**told, "rows": {}}
    for key, value in told.items():
        if was.get(key) != value:
            p.error(f"--save: {o.save} has rows of another kind: {key} {was.get(key)}, not {value}")
    for name, changes in was.get("changes", {}).items():
        if name in rows and list(rows[name]) != changes:
            p.error(f"--save: {o.save} has row {name} of other settings: {'; '.join(changes)}")
    found: dict[str, dict[str, Any]] = {name: was["rows"].get(name, {}) for name in rows}
    now = about(o.faces)  # of the code that this process runs, whatever is committed meanwhile

    def save() -> None:
        made = {name: seeds for name, seeds in found.items() if seeds}
        changes = {name: rows[name] for name in made}
        text = {**now, **told, "changes": changes, "rows": made}
        o.save.write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n")

    wanted = [(name, seed) for seed in range(o.seeds) for name in chosen if str(seed) not in found[name]]
    for name, seed, result in results_of(figures, wanted, given, o.processes):
        found[name][str(seed)] = {**result, "commit": now["commit"]}
        save()
        print(f"{name}, seed {seed}: " + ", ".join(f"{k} {v:.4g}" for k, v in result.items()), flush=True)
    print("\n".join(lines(found)))


def results_of(
    work: Callable[..., T], wanted: Sequence[tuple[str, int]], given: Sequence[Any], processes: int
) -> Iterator[tuple[str, int, T]]:
    """Row, seed and work(row, seed, *given) of each that is wanted, as they are done; one that ends in a UserError is
    named and left out."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        asked = {pool.submit(work, *which, *given): which for which in wanted}
        for done in as_completed(asked):
            name, seed = asked[done]
            try:
                yield name, seed, done.result()
            except UserError as e:
                print(f"{name}, seed {seed}: {e}", flush=True)


def shown(c: Config, faces: data.Faces, cache: Path) -> views.Views | None:
    """The views that a row's settings ask for, if any."""
    if not c.views.each:
        return None
    h_bb = pipeline.backbone_of(c.backbone, half=c.views.half)
    return views.stored(faces, distill.taught(faces), h_bb, c.views, c.run.seed, cache)


def lines(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """The table in Markdown, means over seeds."""
    yield "| | EER | FNMR at FMR 1e-2 | at 1e-3 | seconds | seeds |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, seeds in rows.items():
        if seeds:
            eer, two, three, seconds = (
                float(np.mean([f[k] for f in seeds.values()])) for k in ("eer", "fnmr_1e-02", "fnmr_1e-03", "seconds")
            )
            yield f"| {name} | {eer:.2%} | {two:.1%} | {three:.1%} | {seconds:.0f} | {len(seeds)} |".replace("%", " %")
