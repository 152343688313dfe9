"""The documents' tables of the generator and of its levers: how they follow when results change.

Each of TABLES is lines of a document, word for word as the function makes them of the results. Sentences beside the
tables are people's to write, and to write again. Exit code 1 where something is missing or old.

    python benchmarks/documents.py              # names tables that a document lacks, and results of another generator
    python benchmarks/documents.py --since REV  # replaces those made of the results and the generator of REV, a commit
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import comparison
import personal

from hyper_mcu import generator

ROOT = Path(__file__).parents[1]
GENERATOR = "hypertrain/weights/generator.onnx"
Lines = Iterator[str]


class Results:
    """benchmarks/results and the shipped generator, of a commit or as they lie there."""

    def __init__(self, commit: str = "") -> None:
        self.commit = commit

    def __getitem__(self, name: str) -> Any:
        return json.loads(self._read(f"benchmarks/results/{name}.json"))

    @cached_property
    def generator(self) -> generator.Generator:
        """The shipped one."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "generator.onnx"
            path.write_bytes(self._read(GENERATOR))
            return generator.load(path)

    def _read(self, name: str) -> bytes:
        if not self.commit:
            return (ROOT / name).read_bytes()
        command = ["git", "show", f"{self.commit}:{name}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout


def percent(x: float, digits: int = 1) -> str:
    """0.123: 12.3 %"""
    return f"{100 * x:.{digits}f} %"


def accuracy(found: Mapping[str, float], digits: int = 1) -> str:
    """Mean and standard deviation of ten folds, in percent."""
    return f"{100 * found['accuracy_mean']:.{digits}f} ± {100 * found['accuracy_sd']:.{digits}f} %"


def headline(r: Results) -> Lines:
    """README: what it does today, CFP."""
    ff, fp = r["accuracy"]["FF"], r["accuracy"]["FP"]
    whole = [percent(p["backbone"]["accuracy_mean"]) for p in (ff, fp)]
    yield (
        f"| CFP-FF, ten folds | float {accuracy(ff['float'])}, **int8 {accuracy(ff['int8'])}** (backbone {whole[0]}) |"
    )
    yield (
        f"| CFP-FP, ten folds | float {accuracy(fp['float'])}, int8 {accuracy(fp['int8'])} "
        f"(backbone {whole[1]}, the paper 95.6 %) |"
    )
    raw = r["raw_photos"]
    own, others = raw["genuine"], raw["impostor"]
    at = [f"{t['accepted']} of {own}, {t['rejected']} of {others}" for t in raw["at_thresholds"]]
    yield (
        f"| {raw['people']} people, raw photos, emulated Cortex-M4: own photos accepted, others rejected | at a "
        f"threshold for FMR 10 %: {at[0]}; for 1 %: {at[1]}; for 0.1 %, the default: {at[2]} |"
    )


def enrolment(r: Results) -> Lines:
    """README: how long enrolment takes."""
    cold, further = (r["enrolment"][k]["seconds"]["median"] for k in ("cold", "further"))
    yield f"| enrolment on two cores at rest | {cold:.2f} s as a cold process, {further:.2f} s for each further photo |"


def personal_integers(r: Results) -> Lines:
    """README: what of a net is not everybody's."""
    people, found = r["enrolment"]["people"], r["enrolment"]["personal"]["all"]
    weights, biases = (f"{found[k]['personal']:,} of {found[k]['of']:,}" for k in ("weights", "biases"))
    yield f"| integers that are not the same for {people} people | {weights} weights, {biases} biases and multipliers |"


def rows_of_eval(r: Results) -> Lines:
    """README: CFP by which photo is enrolled."""
    for name, key in (
        ("the first photo of each pair, the headline", ""),
        ("the second one (of CFP-FP: from the side)", "enrolled_second"),
        ("mean of both scores, which takes two nets", "mean_of_both_directions"),
    ):
        cells = [name]
        for protocol in ("FF", "FP"):
            found = r["accuracy"][protocol]
            found = (found[key] if key else found)["int8"]
            cells += [accuracy(found), percent(found["eer"]), percent(found["tar_at_fmr"]["1e-2"]["tar"])]
        yield f"| {' | '.join(cells)} |"


def enrolment_variants(r: Results) -> Lines:
    """README: other ways to enrol."""
    for name, found in r["enrolment_variants"]["ways"].items():
        said = name.replace(" (enroll)", ", as `enroll` does")
        let_in = f"{percent(found['fmr_at']['0.01'], 2)}, {percent(found['fmr_at']['0.001'], 2)}"
        int8 = found["int8"]
        tar = percent(int8["tar_at_fmr"]["1e-3"]["tar"])
        yield f"| {said} | {accuracy(int8)} | {percent(int8['eer'])} | {tar} | {let_in} |"


def quality(r: Results) -> Lines:
    """README: errors by pose and by the embedding's length."""

    def span(found: Mapping[str, float], least: float, most: float) -> str:
        low, high = found["from"], found["to"]
        if low < least:
            return f"under {high:g}"
        return f"over {low:g}" if high > most else f"{low:g} to {high:g}"

    def cells(kind: str, found: Mapping[str, float], limit: bool = False) -> str:
        name = f"**{kind}**" if limit else kind
        return f"{name} | {found['nets']:,} | {percent(found['eer'])} | {percent(found['fnmr'])}"

    found = r["quality"]
    turned, short = found["limits"]["turned"], found["limits"]["norm"]
    left = [cells(span(t, 0.1, 0.5), t, t["from"] == turned) for t in found["turned_tail"]]
    left += [
        cells(f"CFP, from the {s}", found["cfp_by_kind"][k]) for s, k in (("side", "profile"), ("front", "frontal"))
    ]
    right = [cells(span(t, 10, 30), t, t["to"] == short) for t in found["damaged"]]
    for pair in zip(left, right, strict=True):
        yield f"| {' | | '.join(pair)} |"


def refused(r: Results) -> Lines:
    """README: what the limits of enrolment cost, and what they are worth."""
    found = r["quality"]
    for name, key, limits, nets in (
        ("turned aside", "turned", found["turned_limits"], ""),
        ("short embedding", "norm", found["norm_limits"], " ({} nets)"),
    ):
        (t,) = (t for t in limits if t["limit"] == found["limits"][key])
        fte = [percent(found["failure_to_enrol"][s][name]) for s in ("val", "CFP frontal", "CFP profile")]
        bad = percent(t["refused"]["eer"]) + nets.format(t["refused"]["nets"])
        yield f"| {name} | {' | '.join(fte)} | {bad} | {percent(t['accepted_of_the_same_people']['eer'])} |"


def leakage(r: Results) -> Lines:
    """README: the embedding from a net's head."""
    found = r["leakage"]
    for name, t in (
        ("least squares through the linear head", found["linear_head"]["int8"]),
        ("least squares through an affine map fitted to the generator", found["affine"]["int8"]),
        ("refined until the generator writes this head", found["refined"]["int8"]),
        ("the embedding itself", found["true"]),
    ):
        low = f"{t['cosine_percentile_1']:.3f}, {t['cosine_percentile_5']:.3f}"
        yield f"| {name} | {t['cosine_mean']:.3f} | {low} | {percent(t['rank_1'])} | {percent(t['accepted'])} |"


def noise(r: Results) -> Lines:
    """README: noise on the embedding."""
    for length, t in r["leakage"]["noise"].items():
        exact, fitted = t["noisy"], t["affine"]
        yield (
            f"| {'none' if length == '0' else length} | {percent(t['eer_float'])} | {exact['cosine_mean']:.3f} "
            f"| {fitted['cosine_mean']:.3f} | {percent(exact['rank_1'])} | {percent(exact['accepted'])} |"
        )


def parity(r: Results) -> Lines:
    """README: every backend."""
    said = {"identical": "identical", "not_run": "not run", "different": "differs"}
    for b in r["parity"]["backends"]:
        yield f" {b['name']:23} {b['images']:<8} {said[b['status']]:11} {b['sha256'][:12]}".rstrip()


def held_out(r: Results) -> Lines:
    """README: what it does today, held-out people."""
    at = [f"{100 * t:g} % and {percent(r.generator.rates.at(t).fnmr)}" for t in (0.1, 0.01, 0.001)]
    told = (
        f"{at[0]}; {at[1]}; **{at[2]}**, the default; equal, of plain scores, at {percent(_of_training(r)['eer_int8'])}"
    )
    yield f"| held-out people, strangers accepted (FMR) and owner rejected (FNMR) | {told} |"


def _of_training(r: Results) -> Mapping[str, Any]:
    """What the end of the training said of held-out people."""
    found: Mapping[str, Any] = r["trained"]["held_out"]
    return found


def card(r: Results) -> Lines:
    """Model card: CFP and held-out people, float and int8."""
    for protocol in ("FF", "FP"):
        t = r["accuracy"][protocol]
        digits = (accuracy(t["float"], 2), accuracy(t["int8"], 2), percent(t["int8"]["eer"]))
        yield f"| CFP-{protocol}, 7,000 pairs | {' | '.join(digits)} |"
    told, pairs = _of_training(r), r.generator.rates.alone
    equal = f"EER {percent(told['eer_float'], 2)} | EER {percent(told['eer_int8'], 2)} | {percent(told['eer_int8'])}"
    yield f"| held-out people, {pairs.genuine:,} genuine and {pairs.impostor:,} impostor pairs | {equal} |"


def thresholds(r: Results) -> Lines:
    """Model card: what thresholds stand for."""
    cfp = [r["accuracy"][protocol]["at_thresholds"] for protocol in ("FF", "FP")]
    for i, (target, note) in enumerate(((0.1, ""), (0.01, ""), (0.001, ", the default"))):
        fnmr = r.generator.rates.at(target).fnmr
        cells = [f"{percent(c[i]['fmr'], 2 if c[i]['fmr'] < 0.1 else 1)}, {percent(c[i]['fnmr'])}" for c in cfp]
        yield f"| {100 * target:g} %{note} | {percent(fnmr)} | {' | '.join(cells)} |"


SETS = {
    "bolly": "Bollywood (actors of India; low resolution)",
    "celeba_lo": "CelebA in low resolution",
    "celeba_raw": "CelebA",
    "fiw": "Families in the Wild (relatives among the strangers)",
}


def groups(r: Results) -> Lines:
    """Model card: rates by data set."""
    whole = r["held_out"]["backbone"]["val"]["by_set"]
    for name, t in r["held_out"]["generators"][r.generator.sha256]["val"]["by_set"].items():
        at = [f"{percent(t[f'fmr_{k}'], 2)}, {percent(t[f'fnmr_{k}'])}" for k in ("1e-02", "1e-03")]
        at += [", ".join(percent(whole[name][f"fmr_{k}"], 2) for k in ("1e-02", "1e-03"))]
        yield f"| {SETS[name]} | {t['people']} | {t['genuine']:,} | {percent(t['eer'])} | {' | '.join(at)} |"


CROPS = {
    "photo": "of the photo, float landmarks",
    "rgb888": "RGB888, landmarks in 1/16 pixel",
    "rgb565-big": "RGB565",
    "yuyv": "YUYV",
    "grey": "grey",
    "guide, exactly there": "RGB565, a guide exactly where the face is",
    "guide": "a guide that is off by up to 6 crop pixels in x and y and 10 % of the size",
    "guide, shifts": "the same, search of 9 (shifts of 6)",
    "guide, shifts and sizes": "the same, search of 27 (and sizes of 6/64)",
}


def camera(r: Results) -> Lines:
    """CAMERA.md: crops as a device makes them."""
    for t in r["camera"]["ways"]:
        photo = t["way"] == "photo"
        off = "" if photo else f"{t['cosine_difference_mean']:.3f}, {t['cosine_difference_max']:.3f}"
        own, others, equal, other = (
            ", ".join(map(str, t[k]))
            for k in ("own_accepted", "others_accepted", "own_accepted_at_equal_rates", "other_verdicts_than_photo")
        )
        cells = [CROPS[t["way"]], f"{t['eer_percent']:.1f} %", off, own, others, equal, "" if photo else other]
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |")


TABLES: tuple[tuple[str, Callable[[Results], Lines]], ...] = (
    ("README.md", headline),
    ("README.md", held_out),
    ("README.md", enrolment),
    ("README.md", personal_integers),
    ("README.md", parity),
    ("README.md", rows_of_eval),
    ("README.md", enrolment_variants),
    ("README.md", quality),
    ("README.md", refused),
    ("README.md", lambda r: personal.lines(r["personal"]["rows"])),
    ("README.md", leakage),
    ("README.md", noise),
    ("docs/training.md", lambda r: comparison.lines(r["levers"]["rows"])),
    ("docs/training.md", lambda r: comparison.lines(r["trunks"]["rows"])),
    ("hypertrain/weights/README.md", card),
    ("hypertrain/weights/README.md", thresholds),
    ("hypertrain/weights/README.md", groups),
    ("firmware/CAMERA.md", camera),
)


MEASURED = (
    "accuracy", "camera", "enrolment", "enrolment_variants", "leakage", "parity", "personal", "quality", "raw_photos",
    "trained",
)  # fmt: skip


def stale(r: Results) -> list[str]:
    """The results that are of another generator than the shipped one."""
    shipped = r.generator.sha256
    found = [name for name in MEASURED if r[name].get("generator_sha256") != shipped]
    return found if shipped in r["held_out"]["generators"] else [*found, "held_out"]


def made(r: Results) -> list[tuple[str, str]]:
    """Each table: its document, and its lines."""
    return [(document, "\n".join(table(r))) for document, table in TABLES]


def _once(table: Callable[[Results], Lines], commit: str) -> str:
    """The table as it was then, empty where the results of that commit had another form: it is left to people."""
    try:
        return "\n".join(table(Results(commit)))
    except (KeyError, ValueError, subprocess.CalledProcessError):
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description="The tables of the documents, from the results.")
    parser.add_argument("--since", metavar="REV", help="replace those of this commit")
    o = parser.parse_args()
    today = made(Results())
    before = [_once(table, o.since) for _, table in TABLES] if o.since else []
    for (document, now), was in zip(today, before, strict=False):
        if was:
            text = (ROOT / document).read_text(encoding="utf-8")
            (ROOT / document).write_text(text.replace(was, now), encoding="utf-8")
    missing = [(d, t) for d, t in today if f"\n{t}\n" not in (ROOT / d).read_text(encoding="utf-8")]
    for document, lines in missing:
        print(f"{document} lacks:\n{lines}\n")
    old = stale(Results())
    for name in old:
        print(f"benchmarks/results/{name}.json is of another generator")
    sys.exit(bool(missing or old))


if __name__ == "__main__":
    main()
