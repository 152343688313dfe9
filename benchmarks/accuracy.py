"""Does the net know its owner? CFP's ten folds through the shipped generator, float and int8, as figures and a picture.

int8 scores are those of the integer oracle's twin. backbone: the same pairs by the frozen backbone itself, the cosine
of the enrolment embedding (mean over crop and mirror image) and the embedding of the probe's crop. at_thresholds: the
rates at the thresholds that enrolment sets for a false match rate, which was measured on other people. The picture
shows the int8 scores of CFP-FF, on each person's own scale as thresholds are, and FNMR against FMR.

    python benchmarks/accuracy.py --faces FACES --save benchmarks/results/accuracy.json --plot docs/accuracy.png
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from record import about

from hyper_mcu import generator
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.hypertrain import metrics, protocols, report

Scored = dict[str, report.Scored]  # by protocol
FMRS = (1e-1, 1e-2, 1e-3)


def backbone_scores(chosen: protocols.EvalSet) -> NDArray[np.float64]:
    """Cosines (P,) of the backbone's embeddings: what f is distilled from, and cannot be expected to pass."""
    faces, pairs = chosen.faces, chosen.pairs
    enrolled = faces.enrolled()[:, : faces.dimension]
    probed = faces.embeddings[:, 0, : faces.dimension].astype(np.float64)
    cosines: NDArray[np.float64] = (enrolled[pairs.enrol] * probed[pairs.probe]).sum(1)
    return cosines


def on_own_scale(s: report.Scored, chosen: protocols.EvalSet, g: generator.Generator) -> NDArray[np.float64]:
    """int8 scores (P,) on the scale of the enrolled person, as thresholds are."""
    e = chosen.faces.enrolled(s.pairs.enrol)
    mean, sd = np.array([g.rates.strangers.moments(x) for x in e]).T
    z: NDArray[np.float64] = (s.scores["first"]["int8"] - mean) / sd
    return z


def plot(scored: Scored, scores: NDArray[np.float64], g: generator.Generator, path: Path) -> None:
    """Histogram of CFP-FF's int8 scores (P,) with thresholds, and the error trade-off of both protocols."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    same = scored["FF"].pairs.same
    bins = np.linspace(scores.min(), scores.max(), 60)
    left.hist(scores[same], bins, alpha=0.7, label="same person")
    left.hist(scores[~same], bins, alpha=0.7, label="another person")
    for target, style in zip(FMRS, (":", "-.", "--"), strict=True):
        left.axvline(
            g.rates.at(target).z, ymax=0.57, color="black", lw=1, ls=style, label=f"threshold for FMR {target:g}"
        )
    left.set(xlabel="score of the int8 net, on the person's own scale", ylabel="CFP-FF pairs")
    left.set_ylim(0, 1.8 * left.get_ylim()[1])
    left.legend(frameon=False, loc="upper right")
    for name, s in scored.items():
        for kind, style in (("float", ":"), ("int8", "-")):
            fmr, fnmr = s.curves()[f"{kind}, enrol first"]
            right.plot(100 * fmr, 100 * fnmr, style, label=f"CFP-{name} {kind}")
    right.set(xscale="log", yscale="log", xlim=(0.1, 100), ylim=(0.1, 100), xlabel="FMR, %", ylabel="FNMR, %")
    right.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    fig.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="CFP through the shipped generator.")
    parser.add_argument("--faces", type=Path, required=True, help="folder with cfp/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    parser.add_argument("--plot", type=Path, help="write the picture as PNG")
    o = parser.parse_args()
    g = generator.load()
    scored: Scored = {}
    figures: dict[str, object] = {}
    z: dict[str, NDArray[np.float64]] = {}
    for protocol in ("FF", "FP"):
        chosen = protocols.load("cfp", o.faces / "cfp", o.cache, backbone(g.backbone), protocol=protocol)
        start = time.perf_counter()
        s = scored[protocol] = report.score(chosen, g)
        seconds = time.perf_counter() - start
        said = report.summary(chosen, g, s)
        said["backbone"] = asdict(metrics.figures(backbone_scores(chosen), s.pairs.same, s.pairs.fold))
        z[protocol] = on_own_scale(s, chosen, g)
        at = {t: metrics.rates(z[protocol][s.pairs.same], z[protocol][~s.pairs.same], g.rates.at(t).z) for t in FMRS}
        said["at_thresholds"] = [{"target": t, "fmr": fmr, "fnmr": fnmr} for t, (fmr, fnmr) in at.items()]
        said["seconds_to_score"] = round(seconds, 1)
        figures[protocol] = said
        for kind in ("float", "int8", "backbone"):
            f = said[kind]
            print(f"CFP-{protocol} {kind:8} {f['accuracy_mean']:.2%} ± {f['accuracy_sd']:.2%}   EER {f['eer']:.2%}")
        for t, (fmr, fnmr) in at.items():
            print(f"CFP-{protocol} int8 at the threshold for FMR {t:g}: FMR {fmr:.2%}, FNMR {fnmr:.1%}", flush=True)
    if o.save:
        o.save.write_text(json.dumps({**about(o.faces), "generator_sha256": g.sha256, **figures}, indent=2) + "\n")
    if o.plot:
        plot(scored, z["FF"], g, o.plot)


if __name__ == "__main__":
    main()
