"""A training run from its settings: the stages that have steps, one after the other, then the generator file.

OUT/config.json, OUT/STAGE/{last,best}.safetensors, log.jsonl and tensorboard/, OUT/generator.onnx.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, NetSpec
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.faces.backbone import Backbone
from hyper_mcu.hypertrain import (
    augment,
    backbones,
    checkpoint,
    config,
    data,
    evaluate,
    export,
    finish,
    loop,
    processes,
    sampling,
    start,
    views,
)
from hyper_mcu.hypertrain.backbones.export import beside
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.config import Config
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.direct import Classifier, Direct
from hyper_mcu.hypertrain.distill import Distill, Trunk, taught
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.hyper import Hyper, check_set
from hyper_mcu.hypertrain.journal import Watch, unwatched
from hyper_mcu.hypertrain.mould import mould
from hyper_mcu.hypertrain.personal import Personal
from hyper_mcu.hypertrain.qat import Quantiser
from hyper_mcu.hypertrain.views import Views

CONFIG = "config.json"
MOULDED = 400  # images by which a trunk is fitted to another


@dataclass(frozen=True)
class Trained:
    """What a run made: the module, what each stage came to, and the generator file if there is one; in the first
    process what was measured of that too."""

    spec: NetSpec
    faces: Faces
    module: Personal | Classifier
    stages: list[loop.Outcome]
    generator: Path | None = None
    measured: finish.Measured | None = None


def spec_of(c: Config) -> NetSpec:
    """The architecture of f that the settings name."""
    spec = preset(c.net.preset)
    return replace(spec, norm=c.net.norm) if c.net.norm else spec  # type: ignore[arg-type]  # checked by config.Net


def backbone_of(c: config.Backbone, device: torch.device | None = None, half: bool = False) -> Backbone:
    """The frozen backbone that the settings name, on a GPU where that is the device, in bfloat16 where `half` says so;
    raises UserError where it has no weights, or cannot."""
    gpu = device is not None and device.type == "cuda"
    return backbones.load(c.name, *_checkpoint(c), device=str(device) if gpu else "", half=half)


def _checkpoint(c: config.Backbone) -> tuple[Path | None, backbones.Fetched | None]:
    """Where the settings say that the backbone's checkpoint is, as `backbones.located` takes it."""
    return Path(c.weights) if c.weights else None, (c.url, c.sha256) if c.url else None


def wants_views(c: Config) -> bool:
    """Whether a stage that the settings run looks at views."""
    distills = c.distill.steps > 0 and c.distill.photos < 1 and not (c.start.trunk or c.start.generator)
    return c.views.each > 0 and (distills or (c.hyper.steps > 0 and c.hyper.probed == "views"))


def trunk_key(c: Config) -> str:
    """A name for what stage distill makes of the settings."""
    depends = {k: v for k, v in asdict(c).items() if k in ("data", "start", "net", "backbone", "views", "distill")}
    kept = ("seed", "every", "amp", "ema")  # every: of its checks the best stays
    depends["run"] = {key: getattr(c.run, key) for key in kept}
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def check_out(c: Config, out: Path, resume: bool) -> None:
    """Raises UserError where OUT holds a run that may not go on, or began with other settings."""
    before = began(out)
    if before is not None and not resume:
        raise UserError(out, "holds a run already", "--resume, or another folder", CONFIG)
    if before is not None:
        agree(c, before)


def began(out: Path) -> Config | None:
    """The settings that the run in OUT began with, if there is one; raises UserError where they cannot be read."""
    path = out / CONFIG
    if not path.exists():
        return None
    try:
        return config.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, AttributeError) as e:
        raise UserError(path, "not the settings of a run", "JSON as train writes it", type(e).__name__) from e


def agree(c: Config, before: Config) -> None:
    """Raises UserError where two settings of one run differ; how it runs may change, but for its seed."""
    for section in vars(c):
        want, got = getattr(before, section), getattr(c, section)
        for key in vars(want):
            if getattr(want, key) != getattr(got, key) and (section != "run" or key == "seed"):
                expected, found = ("nothing" if v == "" else v for v in (getattr(want, key), getattr(got, key)))
                raise UserError(f"{section}.{key}", "not as the run began", expected, found)


def run(
    c: Config,
    out: Path,
    cache: Path,
    resume: bool = False,
    say: Progress = silent,
    watch: Watch = unwatched,
    trunks: Path | None = None,
) -> Trained:
    """Trains by the settings and, where h is trained and its nets can be shipped, writes OUT/generator.onnx.

    trunks: a folder in which stage distill runs instead, once for all runs that agree in what it depends on.

    Raises UserError for settings, data or files that do not fit, and loop.StoppedError when a signal came.
    """
    if c.run.threads:
        torch.set_num_threads(c.run.threads)
    spec, h_bb = spec_of(c), backbone_of(c.backbone, c.run.on())
    viewer = backbone_of(c.backbone, c.run.on(), half=True) if c.views.half and wants_views(c) else h_bb
    further = h_bb.size - h_bb.dimension if not h_bb.tokens else 0
    shape = replace(c.hgen, dimension=h_bb.size, tokens=h_bb.tokens, layers=(further,) if further else ())
    start.check_shape(spec, shape)
    start.check_plain(shape, c.distill.steps, vars(c.start))
    check_out(c, out, resume)
    start.check_files(vars(c.start).values())
    processes.wait()  # all have looked before the first writes there
    hgen = None
    if c.start.generator:
        hgen = start.grown(_generator(Path(c.start.generator), spec, h_bb.sha256), shape, c.run.seed)
    faces = data.load(Path(c.data.root), cache, h_bb, c.data.kind, c.data.held_out, c.data.decoded, say)
    data.check_people(faces)
    if c.hyper.steps:
        check_set(c.hyper, faces, spec)
    if processes.rank() == 0:
        out.mkdir(parents=True, exist_ok=True)
        files.write(out / CONFIG, json.dumps(json.loads(c.to_json()), indent=2) + "\n")
    about, stages = About(spec, h_bb.sha256, "", config=c.to_json()), list[loop.Outcome]()

    def trained(stage: loop.Stage) -> None:
        shared = trunks is not None and stage.name == "distill"
        folder = trunks / trunk_key(c) if shared and trunks else out / stage.name
        stages.append(loop.train(stage, faces, c.run, about, folder, resume or shared, watch))

    if c.direct.steps:
        direct = Direct(spec, faces, c.direct, c.run)
        trained(direct)
        return Trained(spec, faces, direct.module, stages)
    shown = views.stored(faces, taught(faces), viewer, c.views, c.run.seed, cache, say) if wants_views(c) else None
    if hgen is None:
        hgen = _from_trunk(c, spec, shape, faces, shown, trained, say)
    if c.hyper.qat:
        say("first activation scales")
        hgen.quantiser = Quantiser(spec, evaluate.calibrate(spec, finish.weights_of(hgen), faces))
    module = Personal(hgen)
    if c.hyper.steps:
        trained(Hyper(module, faces, c.hyper, c.run, shown))
    if spec.norm in RUN_TIME_NORMS:
        return Trained(spec, faces, module, stages)
    path = out / "generator.onnx"
    if processes.rank() > 0:
        return Trained(spec, faces, module, stages, path)
    say("scales and threshold")
    measured = finish.finish(module.hgen, faces, (h_bb.name, h_bb.sha256), c.told(), path)
    beside(c.backbone.name, out, *_checkpoint(c.backbone))
    return Trained(spec, faces, module, stages, path, measured)


def _from_trunk(
    c: Config,
    spec: NetSpec,
    shape: Shape,
    faces: Faces,
    shown: Views | None,
    trained: Callable[[loop.Stage], None],
    say: Progress,
) -> HGen:
    """h_gen on a trunk: distilled now, read from a file, or untrained."""
    trunk = Trunk(spec, faces.dimension, c.run.seed)
    if path := c.start.trunk or c.start.warm:
        _fill(Path(path), trunk, faces)
    elif c.start.mould:
        explained = mould_from(Path(c.start.mould), trunk, faces, c.run.seed)
        say(f"moulded from {c.start.mould}: its convolutions explain {min(explained):.0%} or more of the old ones")
    if c.distill.steps and not c.start.trunk:
        trained(Distill(trunk, faces, c.distill, c.run, shown))
    elif not (c.start.trunk or shape.residual):
        return start.fresh(spec, shape, c.run.seed)
    return start.from_trunk(trunk, shape, c.run.seed)


def _fill(path: Path, trunk: Trunk, faces: Faces) -> None:
    """Fills a trunk from a checkpoint of stage distill, or with what the nets of a generator.onnx share."""
    if path.suffix == ".onnx":
        start.to_trunk(_generator(path, trunk.spec, faces.backbone_sha256), trunk)
    else:
        checkpoint.fill(checkpoint.read(path), trunk, trunk.spec, faces.backbone_sha256)


def mould_from(path: Path, trunk: Trunk, faces: Faces, seed: int) -> list[float]:
    """Fits a trunk to that of another architecture, on a few images of the people to train on; returns what
    `mould` does.

    path: a checkpoint of stage distill or a generator.onnx. Raises UserError as `mould` does, and for files that do not
    belong to the faces' backbone.
    """
    spec = export.restore(path)[0].spec if path.suffix == ".onnx" else checkpoint.about(path).spec
    old = Trunk(spec, faces.dimension, seed)
    _fill(path, old, faces)
    rows = faces.select("train")
    some = sampling.rng(seed, 0, "mould").choice(rows, min(MOULDED, len(rows)), replace=False)
    return mould(old, trunk, augment.plain(faces.crops[np.sort(some)], spec.height))


def _generator(path: Path, spec: NetSpec, backbone_sha256: str) -> HGen:
    """The h_gen of a generator file; raises UserError where it belongs to something else."""
    found, meta = export.restore(path)
    if found.spec.sha256 != spec.sha256:
        want, got = (f"{s.id} {s.sha256[:16]}" for s in (spec, found.spec))
        raise UserError(path, "generator of another NetSpec", want, got)
    if meta.get("backbone_sha256", "") != backbone_sha256:
        want, got = (h[:16] for h in (backbone_sha256, meta.get("backbone_sha256", "")))
        raise UserError(path, "generator of another backbone", want, got)
    return found
