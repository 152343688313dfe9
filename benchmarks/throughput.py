"""How many pairs a second do N nets on M images take? A loop, `torch.func.vmap` and hypertrain.batched, side by side.

Every contender computes the scores of all N×M pairs of one batch, in float32 unless its name says bf16; with gradients,
the mean of their squares goes back to θ (N, params). They take turns, so that what else the machine does hits all of
them; a figure is the median of the rounds, a ratio the median of the ratios to vmap in the same round. Memory is the
peak of one pass with gradients above what lay there before: of a process of its own on the CPU, of the allocator on
the GPU. "cached": `batched.backward` in chunks of nets, on the CPU as many at a time as there are threads (of ours; the
chunks of the loop and of the compiled one come one after the other, each by all threads).

    python benchmarks/throughput.py --save benchmarks/results/throughput.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from record import about
from torch import Tensor

from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.presets import preset
from hyper_mcu.hypertrain import batched, net

Scores = Callable[[NetSpec, Tensor, Tensor], Tensor]
NAMES = ("loop", "loop cached", "vmap", "ours", "ours cached", "ours cached bf16", "ours cached compiled")


def contender(name: str) -> tuple[Scores, bool, bool]:
    """The function of a contender, whether its gradients are cached, and whether it runs in bf16."""
    kind, *how = name.split()
    functions = {"loop": batched.scores_loop, "vmap": batched.scores_vmap, "ours": batched.scores}
    compiled = "compiled" in how
    return torch.compile(functions[kind]) if compiled else functions[kind], "cached" in how, "bf16" in how


def batch(spec: NetSpec, nets: int, images: int, device: str) -> tuple[Tensor, Tensor]:
    """θ (N, params) that wants a gradient, and images (M, 3, H, W), both random."""
    g = torch.Generator().manual_seed(0)
    theta = torch.stack([net.he_init(spec, g) for _ in range(nets)])
    x = torch.rand(images, 3, spec.height, spec.width, generator=g) * 2 - 1
    return theta.to(device).requires_grad_(), x.to(device)


def forward(name: str, spec: NetSpec, theta: Tensor, x: Tensor, _: int) -> None:
    """One pass without gradients."""
    function, _, bf16 = contender(name)
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
        function(spec, theta, x)


def training(name: str, spec: NetSpec, theta: Tensor, x: Tensor, chunk: int) -> None:
    """One pass with gradients to θ."""
    function, cached, bf16 = contender(name)
    theta.grad = None

    def loss(_: slice, part: Tensor) -> Tensor:
        return function(spec, part, x).float().square().sum() / (len(theta) * len(x))

    with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
        workers = torch.get_num_threads() if name in ("ours cached", "ours cached bf16") and not x.is_cuda else 1
        batched.backward(theta, chunk if cached else len(theta), loss, workers=workers)


def seconds(run: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak(name: str, o: argparse.Namespace) -> float:
    """Megabytes of one pass with gradients above what lay there before."""
    if o.device == "cpu":
        words = [sys.executable, __file__, "--memory-of", name, *sys.argv[1:]]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])
    theta, x = batch(preset(o.preset), o.nets, o.images, o.device)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    training(name, preset(o.preset), theta, x, o.chunk)
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def own_peak(name: str, o: argparse.Namespace) -> float:
    """`peak` of this process, after a pass over a batch of one pair has loaded what is loaded once. Linux counts."""
    spec = preset(o.preset)
    training(name, spec, *batch(spec, 1, 1, "cpu"), 1)
    theta, x = batch(spec, o.nets, o.images, "cpu")
    before = _resident("VmRSS")
    training(name, spec, theta, x, o.chunk)
    return _resident("VmHWM") - before


def _resident(what: str) -> float:
    """Megabytes of this process by /proc; getrusage's peak would be that of the process which started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what))


def measure(names: tuple[str, ...], o: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Pairs a second, their ratio to vmap, and memory of every contender."""
    spec = preset(o.preset)
    theta, x = batch(spec, o.nets, o.images, o.device)
    rows: dict[str, dict[str, float]] = {name: {} for name in names}
    for key, one in (("forward", forward), ("forward_backward", training)):
        runs = {name: partial(one, name, spec, theta, x, o.chunk) for name in names}
        taken: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(o.rounds + 1):
            for name, run in runs.items():
                s = seconds(run, o.device)
                if turn:  # the first round warms up, and compiles
                    taken[name].append(s)
        for name in names:
            rows[name][key] = o.nets * o.images / statistics.median(taken[name])
            ratios = [v / s for v, s in zip(taken["vmap"], taken[name], strict=True)]
            rows[name][f"{key}_to_vmap"] = statistics.median(ratios)
    for name in names:
        rows[name]["peak_mb"] = peak(name, o)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Pairs a second of a loop, of vmap and of hypertrain.batched.")
    parser.add_argument("--preset", default="paper@1")
    parser.add_argument("--nets", type=int, default=32)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=1, help="nets whose gradients are computed together where cached")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="also our path under torch.compile")
    parser.add_argument("--save", type=Path, help="write the figures as JSON; those of other devices and threads stay")
    parser.add_argument("--memory-of", choices=NAMES, help=argparse.SUPPRESS)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    if o.memory_of:
        print(own_peak(o.memory_of, o))
        return
    names = tuple(name for name in NAMES if o.compile or "compiled" not in name)
    result: dict[str, object] | str = "not run: no GPU"
    if o.device == "cpu" or torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32
        rows = measure(names, o)
        print(f"{o.preset}, {o.nets} nets × {o.images} images, {o.device}, {o.threads} threads, pairs/s")
        print(f"{'':22}{'forward':>9}{'to vmap':>9}{'training':>10}{'to vmap':>9}{'peak MB':>9}")
        for name, r in rows.items():
            print(
                f"{name:22}{r['forward']:>9,.0f}{r['forward_to_vmap']:>8.1f}×{r['forward_backward']:>10,.0f}"
                f"{r['forward_backward_to_vmap']:>8.1f}×{r['peak_mb']:>9,.0f}"
            )
        settings = {k: getattr(o, k) for k in ("preset", "nets", "images", "chunk", "rounds", "threads")}
        name = torch.cuda.get_device_name() if o.device == "cuda" else str(about()["machine"])
        result = {**about(), **settings, "device": name, "contenders": rows}
    else:
        print(f"{o.device}: {result}")
    if o.save:
        before = json.loads(o.save.read_text()) if o.save.exists() else {"cuda": "not run: no GPU"}
        key = f"cpu, threads: {o.threads}" if o.device == "cpu" else o.device
        o.save.write_text(json.dumps({**before, key: result}, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
