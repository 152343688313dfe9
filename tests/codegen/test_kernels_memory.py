"""Kernels called one by one on emulated cores, each piece of memory beside unmapped pages: what reads or writes beyond
its rows, integers or scratch is a fault. Registers come back, outputs are the oracle's, and no branch goes by data."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from c_programs import zig
from fake_model import missing

from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emit_c import CORE_CODE, CORE_TYPES, core_text, environment
from hyper_mcu.codegen.fixedpoint import cosdot, requantise
from hyper_mcu.codegen.kernels.kernel import Kernel
from hyper_mcu.codegen.kernels.variants import serving, template, variant_named
from hyper_mcu.codegen.netspec import Conv
from hyper_mcu.codegen.oracle import convolve, shuffle_order
from hyper_mcu.codegen.qnet import ACC_BOUND
from hyper_mcu.codegen.targets import ARM, TARGETS

CODE, DATA, STACK, STOP, PAGE = 0x10000, 0x20000000, 0x30000000, 0x18000, 0x1000
COMPILED = ("-std=c11", "-O2", "-ffreestanding")
LINKED = ("-nostdlib", f"-Wl,-Ttext={CODE:#x},-e,0")
LIBRARY = """
void *memcpy(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++) { ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i]; }
    return to;
}
void *memset(void *to, int value, size_t n)
{
    for (size_t i = 0; i < n; i++) { ((volatile uint8_t *)to)[i] = (uint8_t)value; }
    return to;
}
"""


def kernel(conv: Conv, width: int, strip: int, shuffle: int = 1, padding: int = 0) -> Kernel:
    """The kernel of a convolution over rows of that width."""
    kind = "pointwise" if conv.k == 1 else "group" if conv.groups > 1 else "dense"
    out_w, left = conv.window(width)
    return Kernel(
        kind, strip, conv.k, conv.stride, left, width, conv.cin, out_w, conv.cout, conv.groups, shuffle, conv.relu,
        padding, title="A kernel",
    )  # fmt: skip


def add(width: int, channels: int, strip: int, shuffle: int = 1) -> Kernel:
    """The kernel of an Add."""
    sizes = (width, channels, width, channels)
    return Kernel("add", strip, 1, 1, 0, *sizes, 1, shuffle, relu=True, padding=0, title="A kernel")


IMAGES = [kernel(Conv(3, 2, "same", 3, 5), w, 3, padding=128) for w in (8, 690)]
IMAGES += [kernel(Conv(3, 2, "valid", 3, 4), w, 2, 2, padding=128) for w in (9, 10, 13, 691)]
GROUPS = [kernel(Conv(3, 1, "same", 8, 8, 2), w, 3, 4) for w in (7, 8, 10, 15)]
GROUPS += [kernel(Conv(3, 2, pad, 12, 15, 3), w, 2) for pad, w in product(("same", "valid"), (9, 11, 14, 24))]
POINTWISE = [kernel(Conv(1, s, "same", c, 8, 2), w, 3, 2) for s, c, w in product((1, 2), (8, 48), (1, 4, 5))]
POINTWISE += [kernel(Conv(1, 1, "same", c, 6, relu=False), 3, 2) for c in (44, 224)]
OTHERS = [kernel(Conv(k, s, "same", 6, 10), w, 2) for k, s, w in product((3, 5), (1, 2), (1, 4, 9))]
OTHERS += [kernel(Conv(3, 2, "same", c, 7), 5, 2, padding=128) for c in (3, 4)]
ADDS = [add(w, c, 3) for w, c in ((1, 1), (1, 4), (5, 3), (7, 2), (3, 7), (14, 64))]
ADDS += [add(w, c, 2, shuffle) for w, c, shuffle in ((1, 8, 2), (5, 40, 5), (4, 40, 10), (3, 9, 3), (7, 6, 2))]
CASES = {
    ("m4", "dsp"): (*IMAGES, *GROUPS, *POINTWISE, *ADDS),
    ("m3", "tiled"): (*IMAGES[:3], *GROUPS, *POINTWISE, *OTHERS, *ADDS),
    ("rv32imc", "tiled"): (*IMAGES[:3], *GROUPS, *POINTWISE, *OTHERS, *ADDS),
}


SCORE = """
void call_score(const int32_t *num, const uint64_t *norm, int32_t *logit) { *logit = hm_cosdot(*num, *norm, 6); }
"""


def program(folder, target, variant, kernels, kind):
    """An ELF file with a function call_<name> for each kernel, and call_score; GCC links what a compiler of that kind
    has compiled."""
    texts = [core_text((*CORE_TYPES, *CORE_CODE, *variant_named(variant).core))]
    for k in kernels:
        name, facts = template(variant_named(variant), k)
        texts.append(environment().get_template(name).render(k=k, facts=facts))
        if k.kind == "add":
            parameters = "const uint8_t *const *a, uint8_t *const *b, uint8_t *const *out, int n"
            texts.append(f"void call_{k.name}({parameters}) {{ hm_{k.name}(a, b, out, n); }}")
        else:
            parameters = "const hm_conv *conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch"
            texts.append(f"void call_{k.name}({parameters}) {{ hm_{k.name}(*conv, rows, out, n, scratch); }}")
    (folder / "kernels.c").write_text("\n".join((*texts, SCORE, LIBRARY)), encoding="ascii")
    gcc = (TARGETS[target].isa.gcc.name, *TARGETS[target].gcc_flags)
    compiler = gcc if kind == "gcc" else (*zig(), *TARGETS[target].zig_flags, "-fno-sanitize=all")
    subprocess.run([*compiler, *COMPILED, "-c", "kernels.c", "-o", "kernels.o"], cwd=folder, check=True)
    subprocess.run([*gcc, *LINKED, "kernels.o", "-lgcc", "-o", "kernels.elf"], cwd=folder, check=True)
    return read_elf(folder / "kernels.elf")


class Core:
    """A core with the calls of kernels in its memory, where pieces of data are put at the end of pages, or at their
    beginning, with no page beside them."""

    def __init__(self, elf, target, *, at_end):
        import unicorn

        self.arm, self.at_end = TARGETS[target].isa is ARM, at_end
        self.page, self.blocks, self.written = DATA, [], []
        arch = "arm" if self.arm else "riscv"
        const = pytest.importorskip(f"unicorn.{arch}_const")
        self.register = lambda name: getattr(const, f"UC_{arch.upper()}_REG_{name}")
        mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS if self.arm else unicorn.UC_MODE_RISCV32
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM if self.arm else unicorn.UC_ARCH_RISCV, mode)
        self.uc.ctl_set_cpu_model(getattr(const, TARGETS[target].unicorn_cpu))
        self.uc.mem_map(CODE - PAGE, 16 * PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self.uc.mem_map(STACK, 8 * PAGE)
        for segment in elf.segments:
            self.uc.mem_write(segment.address, segment.data)
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, lambda _, address, size, data: self.blocks.append(address))
        self.functions = {s.name: s.value for s in elf.symbols}

    def put(self, data, *, align=4, odd=0, writes=False):
        """The address, a multiple of `align` and `odd` more, of a new piece of memory."""
        size = -(-(len(data) + odd + align) // PAGE) * PAGE
        self.page += PAGE
        at = (self.page + size - len(data) - odd) // align * align + odd if self.at_end else self.page + odd
        self.uc.mem_map(self.page, size, 3 if writes else 1)
        self.uc.mem_write(self.page, b"\xa5" * size)
        self.uc.mem_write(at, bytes(data))
        self.page += size
        if writes:
            self.written.append((self.page - size, size, at, len(data)))
        return at

    def around(self):
        """The bytes that lie in the pages of what may be written to, but not in it."""
        found = set()
        for page, size, at, n in self.written:
            data = self.uc.mem_read(page, size)
            found |= {*data[: at - page], *data[at - page + n :]}
        return found

    def call(self, name, *arguments):
        """Calls a function; the registers that it must keep are kept."""
        r, sp = self.register, STACK + 4 * PAGE
        words = [f"R{i}" for i in range(4)] if self.arm else [f"A{i}" for i in range(5)]
        kept = {r(f"R{i}" if self.arm else f"S{i}"): 0xABCD0000 + i for i in (range(4, 12) if self.arm else range(12))}
        self.uc.mem_write(sp, struct.pack(f"<{len(arguments[4:])}I", *arguments[4:]))
        values = {r("SP"): sp, r("LR" if self.arm else "RA"): STOP | self.arm}
        for register, value in {**values, **kept, **dict(zip(map(r, words), arguments, strict=False))}.items():
            self.uc.reg_write(register, value)
        self.uc.emu_start(self.functions[name] | self.arm, STOP)
        assert {register: self.uc.reg_read(register) for register in (r("SP"), *kept)} == {r("SP"): sp, **kept}


def numbers(k, rng):
    """Weights, biases, multipliers and shifts: random ones, the largest, and sums that reach the bound."""
    weight = rng.integers(-127, 128, (k.out_c, k.taps))
    weight = np.where(rng.random((k.out_c, 1)) < 0.3, np.where(weight < 0, -127, 127), weight)
    most = ACC_BOUND - 1 - 256 * np.abs(weight).sum(1)
    bias = rng.choice([-1, 1], k.out_c) * np.where(rng.random(k.out_c) < 0.3, most, np.minimum(most, 5000))
    multiplier = rng.choice([2**30, 2**31 - 1, 1234567890], k.out_c)
    return weight, bias, multiplier, rng.choice([0, 9, 10, 11, 22, 30], k.out_c)


def expected(k, inputs, weight, bias, multiplier, shift):
    """Outputs uint8 (strip, width * channels) of inputs uint8 (rows, width * channels), by the oracle's arithmetic."""
    x = inputs.reshape(k.in_rows, k.in_w, k.in_c).astype(np.float64) - k.padding
    x = np.pad(x, ((0, 0), (k.left, k.right), (0, 0)))[:, : (k.out_w - 1) * k.stride + k.k]
    conv = Conv(k.k, k.stride, "valid", k.in_c, k.out_c, k.groups, k.relu)
    sums = convolve(conv, x, weight.reshape(k.out_c, k.k, k.k, k.in_g).astype(np.float64)).astype(np.int64) + bias
    y = np.clip(requantise(sums, multiplier, shift), *((0, 255) if k.relu else (-128, 127)))
    return y[..., shuffle_order(k.out_c, k.shuffle)].astype(np.uint8).reshape(k.strip, -1)


def check(elf, target, variant, k, rng, *, at_end, odd):
    """One call with random numbers; returns where it has branched."""
    weight, bias, multiplier, shift = numbers(k, rng)
    inputs = rng.integers(0, 256, (k.in_rows, k.in_w * k.in_c)).astype(np.uint8)
    none = [k.k > 1 and y in (0, k.in_rows - 1) for y in range(k.in_rows)]
    inputs[none] = k.padding
    stored = bias - k.padding * weight.sum(1)
    core = Core(elf, target, at_end=at_end)
    conv = [core.put(weight.astype("<i1").tobytes(), odd=odd)]
    conv += [core.put(a.astype(t).tobytes()) for a, t in ((stored, "<i4"), (multiplier, "<i4"), (shift, "<u1"))]
    place = odd if k.padding else 0  # the caller's image lies anywhere
    rows = [0 if n else core.put(row.tobytes(), align=8, odd=place) for row, n in zip(inputs, none, strict=True)]
    out = [core.put(bytes(k.out_w * k.out_c), align=8, writes=True) for _ in range(k.strip)]
    pointers = [core.put(struct.pack(f"<{len(a)}I", *a)) for a in (conv, rows, out)]
    scratch = core.put(bytes(serving(variant_named(variant), k).scratch(k)), align=8, writes=True)
    core.call(f"call_{k.name}", *pointers, k.strip, scratch)
    found = [core.uc.mem_read(at, k.out_w * k.out_c) for at in out]
    assert found == [row.tobytes() for row in expected(k, inputs, weight, bias, multiplier, shift)], k
    assert core.around() == set(b"\xa5"), k
    return core.blocks


def check_add(elf, k, rng, target, *, at_end):
    """One call with random bytes, whose sums are above 255 or not; returns where it has branched."""
    inputs = rng.integers(0, 256, (2, k.strip, k.out_w * k.out_c)).astype(np.uint8)
    sums = inputs.sum(0).clip(max=255).astype(np.uint8).reshape(k.strip, k.out_w, k.out_c)
    core = Core(elf, target, at_end=at_end)
    a, b = ([core.put(row.tobytes()) for row in rows] for rows in inputs)
    out = [core.put(bytes(k.out_w * k.out_c), writes=True) for _ in range(k.strip)]
    core.call(f"call_{k.name}", *(core.put(struct.pack(f"<{k.strip}I", *rows)) for rows in (a, b, out)), k.strip)
    found = [core.uc.mem_read(at, k.out_w * k.out_c) for at in out]
    assert found == [row.tobytes() for row in sums[..., shuffle_order(k.out_c, k.shuffle)]], k
    assert core.around() == set(b"\xa5"), k
    return core.blocks


@pytest.mark.parametrize(
    ("target", "variant", "kind"), [*((*case, "gcc") for case in CASES), ("rv32imc", "tiled", "zig")]
)
def test_kernels_keep_to_their_memory(tmp_path, target, variant, kind):
    if why := missing(("gcc", target), (kind, target), ("unicorn", target)):
        pytest.skip(why)
    kernels = [replace(k, name=f"kernel{i}") for i, k in enumerate(CASES[target, variant])]
    elf = program(tmp_path, target, variant, kernels, kind)
    rng = np.random.default_rng(1)
    for i, k in enumerate(kernels):
        for at_end in (False, True):
            if k.kind == "add":
                first, second = (check_add(elf, k, rng, target, at_end=at_end) for _ in range(2))
            else:
                first, second = (check(elf, target, variant, k, rng, at_end=at_end, odd=i % 4) for _ in range(2))
            assert first == second, f"{k} branches by its numbers"


@pytest.mark.parametrize(("target", "kind"), [("m3", "gcc"), ("m4", "gcc"), ("rv32imc", "gcc"), ("rv32imc", "zig")])
def test_the_score_takes_one_way_for_all_numbers(tmp_path, target, kind):
    """Cosines of both signs, none, all, and of a map that is empty."""
    if why := missing(("gcc", target), (kind, target), ("unicorn", target)):
        pytest.skip(why)
    elf, ways = program(tmp_path, target, "portable", [], kind), set()
    for num, norm in ((0, 0), (0, 7), (5, 25), (-5, 25), (123_456, 2**44), (-(2**28), 2**56), (2**20, 2**47 + 12_345)):
        core = Core(elf, target, at_end=True)
        logit = core.put(bytes(4), writes=True)
        core.call("call_score", core.put(struct.pack("<i", num)), core.put(struct.pack("<Q", norm), align=8), logit)
        assert struct.unpack("<i", core.uc.mem_read(logit, 4))[0] == cosdot(num, norm, 980)
        ways.add(tuple(core.blocks))
    assert len(ways) == 1
