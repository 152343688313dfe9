"""Does the net know its owner? CFP's ten folds through the shipped generator, float and int8, as figures and a picture.

int8 scores are those of the emitted C. backbone: the same pairs by the frozen backbone itself, the cosine of the
enrolment embedding (mean over crop and mirror image) and the embedding of the probe's crop. The picture shows the int8
scores of CFP-FF as cosines, and FNMR against FMR.

    python benchmarks/accuracy.py --faces FACES --save benchmarks/results/accuracy.json --plot docs/accuracy.png
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from record import about

from hyper_mcu import generator
from hyper_mcu.hypertrain import data, evaluate
from hyper_mcu.hypertrain.distill import enrol_embeddings
from hyper_mcu.hypertrain.metrics import rates
from hyper_mcu.hypertrain.protocol import Pairs, cfp_pairs

Scored = dict[str, tuple[Pairs, dict[str, NDArray[np.float64]]]]


def backbone_scores(faces: data.Faces, pairs: Pairs) -> NDArray[np.float64]:
    """Cosines (P,) of the backbone's embeddings: what f is distilled from, and cannot be expected to pass."""
    enrolled, probed = enrol_embeddings(faces), faces.embeddings[:, 0].astype(np.float64)
    cosines: NDArray[np.float64] = (enrolled[pairs.enrol] * probed[pairs.probe]).sum(1)
    return cosines


def plot(scored: Scored, threshold: float, path: Path) -> None:
    """Histogram of CFP-FF's int8 scores with the shipped threshold, and the error trade-off of both protocols."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    pairs, by = scored["FF"]
    bins = np.linspace(by["int8"].min(), by["int8"].max(), 60)
    left.hist(by["int8"][pairs.same], bins, alpha=0.7, label="same person")
    left.hist(by["int8"][~pairs.same], bins, alpha=0.7, label="another person")
    left.axvline(threshold, color="black", lw=1, ls="--", label="shipped threshold")
    left.set(xlabel="score of the int8 net (cosine)", ylabel="CFP-FF pairs")
    left.set_ylim(0, 1.45 * left.get_ylim()[1])
    left.legend(frameon=False, loc="upper left")
    for name, (p, s) in scored.items():
        for kind, style in (("float", ":"), ("int8", "-")):
            t = np.quantile(s[kind], np.linspace(0, 1, 400))
            fmr, fnmr = np.array([rates(s[kind][p.same], s[kind][~p.same], v) for v in t]).T
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
    cfp = data.load(o.faces / "cfp", o.cache)
    scored: Scored = {}
    figures: dict[str, object] = {}
    for protocol in ("FF", "FP"):
        pairs = cfp_pairs(o.faces / "cfp", cfp, protocol)
        scores = evaluate.score_pairs(g.spec, g.weights, g.scales, cfp, pairs)
        scored[protocol] = pairs, scores
        rows = {**scores, "backbone": backbone_scores(cfp, pairs)}
        found = {kind: asdict(evaluate.figures(s, pairs)) for kind, s in rows.items()}
        at = rates(scores["int8"][pairs.same], scores["int8"][~pairs.same], g.threshold)
        figures[protocol] = {
            "pairs": len(pairs.same),
            **found,
            "at_shipped_threshold": dict(zip(("fmr", "fnmr"), at, strict=True)),
        }
        for kind, f in found.items():
            print(f"CFP-{protocol} {kind:8} {f['accuracy_mean']:.2%} ± {f['accuracy_sd']:.2%}   EER {f['eer']:.2%}")
        print(f"CFP-{protocol} int8 at the shipped threshold: FMR {at[0]:.1%}, FNMR {at[1]:.1%}", flush=True)
    if o.save:
        o.save.write_text(json.dumps({**about(o.faces), "generator_sha256": g.sha256, **figures}, indent=2) + "\n")
    if o.plot:
        plot(scored, g.threshold, o.plot)


if __name__ == "__main__":
    main()
