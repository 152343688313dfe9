"""`hyper-mcu doctor`: what is installed, what is missing, and the line that installs it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil

import click

from hyper_mcu.codegen.targets import ISAS, TARGETS, Tool

PACKAGES = (  # module, distribution, what it gives, extra
    ("unicorn", "unicorn", "emulated cores in process", "emulate"),
    ("ziglang", "ziglang", "a C compiler for host and cores", "emulate"),
    ("pillow_heif", "pillow-heif", "HEIC photos", "heic"),
    ("torch", "torch", "training and evaluation", "train"),
    ("onnx", "onnx", "writing ONNX files", "onnx"),
    ("cv2", "opencv-python-headless", "augmentation in training", "train"),
    ("tflite", "tflite", "writing .tflite files", "tflite"),
    ("tflite_micro", "tflite-micro", "TFLite Micro, to measure and compare", "tflite"),
    ("ai_edge_litert", "ai-edge-litert", "LiteRT, to compare", "tflite"),
    ("matplotlib", "matplotlib", "plots of bench", "plot"),
    ("dlib", "dlib-bin", "running the backbone dlib", "dlib"),
)
TOOLS = (
    (Tool("gcc", "gcc"), "a C compiler for the host"),
    (Tool("clang", "clang"), "a second C compiler for the host"),
    *((isa.gcc, f"a C compiler for {isa.cores}") for isa in ISAS),
    *((isa.qemu, f"an emulator for {isa.cores}") for isa in ISAS),
)


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(as_json: bool) -> None:
    """Say what is installed, what is missing, and the line that installs it.

    Exit code 0 when the main path works: weights, generator, compilers for host and Cortex-M, an emulator. Else 2.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen import install
    from hyper_mcu.codegen.emulate import find_emulator
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.toolchain import find_toolchain
    from hyper_mcu.faces.weights import WEIGHTS, locate
    from hyper_mcu.generator import load

    rows: list[dict[str, str]] = []

    def row(name: str, gives: str, found: str, line: str) -> None:
        rows.append({"name": name, "gives": gives, "found": found, "install": "" if found else line})

    for name in ("scrfd-500m", "mbf-w600k", "sface", "dlib"):
        try:
            locate(name)
            row(name, "pre-trained weights", f"{WEIGHTS[name].package} {WEIGHTS[name].pin}", "")
        except UserError:
            row(name, "pre-trained weights", "", WEIGHTS[name].install)
    try:
        row("generator", "the trained h_gen", load().sha256[:16], "")
    except UserError as e:
        row("generator", str(e), "", "reinstall hyper-mcu")
    for module, distribution, gives, extra in PACKAGES:
        there = importlib.util.find_spec(module) is not None
        row(distribution, gives, _version(distribution) if there else "", install.extra(extra))
    for tool, gives in TOOLS:
        row(tool.name, gives, shutil.which(tool.name) or "", f"apt install {tool.package}")
    have = {r["name"] for r in rows if r["found"]}
    missing = [n for n in ("scrfd-500m", "mbf-w600k", "generator") if n not in have]
    for find, target, what in (
        (find_toolchain, "host", "a host compiler"),
        (find_toolchain, "m4", "a Cortex-M compiler"),
        (find_emulator, "m4", "an emulator"),
    ):
        try:
            row(what, "what verify takes", str(find(TARGETS[target])), "")
        except UserError as e:
            missing.append(what)
            row(what, "what verify takes", "", e.expected)
    if as_json:
        cli.emit_json({"ready": not missing, "missing": missing, "parts": rows})
    else:
        for r in rows:
            click.echo(f"{'ok ' if r['found'] else '-- '} {r['name']:23} {r['gives']:38} {r['found'] or r['install']}")
        click.echo(
            "ready: one photo to an emulated verdict" if not missing else f"not ready: {', '.join(missing)} missing"
        )
    raise SystemExit(2 if missing else 0)


def _version(distribution: str) -> str:
    """Its version; a module may come from a distribution of another name, as dlib does."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "installed"
