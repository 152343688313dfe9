"""The architecture of the verification network f: a frozen, always valid list of layers.

A `NetSpec` says which layers f has and nothing about their numbers. Its layers are `Conv`, `Shuffle` and `Add`, then
one `Head`. A *stage* is what a Conv or an Add produces, a Shuffle behind it included: stages are what is hashed and
compared.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from hyper_mcu.codegen.errors import UserError

Pad = Literal["same", "valid"]
HeadKind = Literal["dot", "cosdot"]
Norm = Literal["none", "weight-standardised", "train-statistics", "instance", "pixel-channel"]
RUN_TIME_NORMS = ("instance", "pixel-channel")  # for training and comparison only: they do not fold into integers
MAX_COSDOT = 1024  # elements, so that |logit| ≤ 2^K·Σw² stays below 2^31
MAX_TAPS = 2**15  # products a sum: 256·Σ|w| of any int8 weights stays below 2^30 and leaves 2^23 for the bias
MAX_MAP = 2**24  # bytes a map, so that every index in C fits 32 bits
MAX_ROWS = 4096  # of the image and all maps: each has a place in memory (plan.py), found among all others
MAX_LAYERS = 256  # far beyond any net for a microcontroller


@dataclass(frozen=True)
class Conv:
    """A (grouped) 2-D convolution with bias, then ReLU unless `relu` is false (the last stage only).

    `pad` is TFLite's: "same" pads max((⌈H/s⌉−1)·s + k − H, 0) in all, half of it (rounded down) before; "valid" none.
    """

    k: int
    stride: int
    pad: Pad
    cin: int
    cout: int
    groups: int = 1
    relu: bool = True

    @property
    def cin_group(self) -> int:
        """Input channels a group."""
        return self.cin // self.groups

    @property
    def cout_group(self) -> int:
        """Output channels a group."""
        return self.cout // self.groups

    @property
    def taps(self) -> int:
        """Multiply-accumulates an output element: k·k·cin/groups."""
        return self.k * self.k * self.cin_group

    def window(self, size: int) -> tuple[int, int]:
        """Along one axis of `size` elements: output size and padding before the first (TFLite's padding.h)."""
        if self.pad == "valid":
            return (size - self.k) // self.stride + 1, 0
        return same_padding(size, self.k, self.stride)


@dataclass(frozen=True)
class Shuffle:
    """Channel shuffle: the (groups, C/groups) → (C/groups, groups) transposition of the channels before it."""

    groups: int


@dataclass(frozen=True)
class Add:
    """Adds the output of stage `of` (0-based) to that of the stage before; both after ReLU, of one shape and scale."""

    of: int


Layer = Conv | Shuffle | Add


@dataclass(frozen=True)
class Head:
    """The score: "dot" = b + Σw·u, "cosdot" = sgn(Σw·u)·⌊(Σw·u)²·2^K / Σu²⌋ over the flattened (HWC) last map,
    or with `pool` over its channel sums."""

    kind: HeadKind
    pool: bool = False


@dataclass(frozen=True)
class Stage:
    """A Conv or Add with its place: number, shapes (H, W, C) in and out, shuffle behind it (1: none), padding."""

    index: int
    layer: Conv | Add
    shuffle: int
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    pad_before: tuple[int, int]  # rows above, columns left

    @property
    def pad_after(self) -> tuple[int, int]:
        """Rows below, columns right: what the last window reaches past the map."""
        if not isinstance(c := self.layer, Conv):
            return 0, 0
        sides = zip(self.in_shape[:2], self.out_shape[:2], self.pad_before, strict=True)
        rows, columns = (max((out - 1) * c.stride + c.k - size - before, 0) for size, out, before in sides)
        return rows, columns

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the stage (padding counted, as `thop` does); an Add has none."""
        h, w, c = self.out_shape
        return h * w * c * self.layer.taps if isinstance(self.layer, Conv) else 0


@dataclass(frozen=True)
class Tensor:
    """One generated tensor of θ: name, shape and place in the flat vector; weights are (cout, k, k, cin/groups)."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def same_padding(size: int, k: int, stride: int) -> tuple[int, int]:
    """TFLite's SAME: output size and the padding before the first element (tensorflow/lite/kernels/padding.h)."""
    out = -(-size // stride)
    return out, max((out - 1) * stride + k - size, 0) // 2


@dataclass(frozen=True)
class NetSpec:
    """f as a list of layers over an aligned RGB crop, uint8 (height, width, channels).

    Raises UserError, worded `netspec ID…`, where the list breaks a rule of SPEC.md, "NetSpec".
    """

    id: str
    layers: tuple[Layer, ...]
    head: Head
    height: int = 112
    width: int = 112
    channels: int = 3
    norm: Norm = "none"

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The producers in order, each with its shapes and the shuffle behind it."""
        stages: list[Stage] = []
        shape = (self.height, self.width, self.channels)
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Shuffle):
                continue
            after = self.layers[i + 1] if i + 1 < len(self.layers) else None
            shuffle = after.groups if isinstance(after, Shuffle) else 1
            out, pad = shape, (0, 0)
            if isinstance(layer, Conv):
                (h, top), (w, left) = layer.window(shape[0]), layer.window(shape[1])
                out, pad = (h, w, layer.cout), (top, left)
            stages.append(Stage(len(stages), layer, shuffle, shape, out, pad))
            shape = out
        return tuple(stages)

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the last map."""
        return self.stages[-1].out_shape

    @property
    def head_size(self) -> int:
        """Elements that the head reads: H·W·C, or C where the map is pooled."""
        h, w, c = self.map_shape
        return c if self.head.pool else h * w * c

    @property
    def linear_end(self) -> bool:
        """Whether the last stage has no ReLU (its bytes then have zero point 0)."""
        last = self.stages[-1].layer
        return isinstance(last, Conv) and not last.relu

    @property
    def head_peak(self) -> int:
        """Largest |u| that the head reads: 255 behind a ReLU, 128 without, times the pixels where it pools."""
        h, w, _ = self.map_shape
        return (128 if self.linear_end else 255) * (h * w if self.head.pool else 1)

    @property
    def input_bytes(self) -> int:
        """Bytes of one crop, height·width·channels."""
        return self.height * self.width * self.channels

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Layout of θ: for each Conv its weight (cout, k, k, cin/groups) and bias (cout,), then the head."""
        out: list[Tensor] = []
        offset = 0

        def put(name: str, *shape: int) -> None:
            nonlocal offset
            out.append(Tensor(name, shape, offset))
            offset += out[-1].size

        for s in self.stages:
            if isinstance(c := s.layer, Conv):
                put(f"stage{s.index}.weight", c.cout, c.k, c.k, c.cin_group)
                put(f"stage{s.index}.bias", c.cout)
        put("head.weight", self.head_size)
        if self.head.kind == "dot":
            put("head.bias", 1)
        return tuple(out)

    @property
    def params(self) -> int:
        """Length of θ: weights and biases of the convolutions and the head."""
        return self.tensors[-1].offset + self.tensors[-1].size

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one verification (convolutions and head)."""
        return sum(s.macs for s in self.stages) + self.head_size

    def to_json(self) -> str:
        """Canonical JSON, `from_json`'s inverse."""
        d: dict[str, Any] = asdict(self)
        d["layers"] = [{"type": type(x).__name__, **asdict(x)} for x in self.layers]
        return json.dumps(d, sort_keys=True, separators=(",", ":"))

    @cached_property
    def sha256(self) -> str:
        """Hash of the architecture: SHA-256 of the canonical JSON without the name."""
        d = json.loads(self.to_json())
        del d["id"]
        return hashlib.sha256(json.dumps(d, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def from_json(text: str) -> NetSpec:
    """NetSpec from its canonical JSON; raises UserError where it is none."""
    kinds: dict[str, type[Conv] | type[Shuffle] | type[Add]] = {"Conv": Conv, "Shuffle": Shuffle, "Add": Add}
    try:
        d = json.loads(text)
        layers = tuple(kinds[x.pop("type")](**x) for x in d.pop("layers"))
        return NetSpec(layers=layers, head=Head(**d.pop("head")), **d)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise UserError("netspec", "not a NetSpec", "its canonical JSON", f"{type(e).__name__} {e}") from e


def _require(ok: bool, where: str, what: str, expected: str, got: object) -> None:
    if not ok:
        raise UserError(where, what, expected, got)


def _check(spec: NetSpec) -> None:
    where = f"netspec {spec.id}"
    _require(
        isinstance(spec.id, str) and spec.id.isprintable() and spec.id != "", "netspec", "id", "a name", repr(spec.id)
    )
    for name in ("height", "width", "channels"):
        _check_whole(where, name, getattr(spec, name))
    shape = (spec.height, spec.width, spec.channels)
    _require(min(shape) >= 1, where, "empty input", "positive sizes", shape)
    _require(math.prod(shape) <= MAX_MAP, where, "input bytes", f"at most {MAX_MAP}", math.prod(shape))
    _require(len(spec.layers) <= MAX_LAYERS, where, "layers", f"at most {MAX_LAYERS}", len(spec.layers))
    _require(spec.norm in get_args(Norm), where, "norm", ", ".join(get_args(Norm)), spec.norm)
    first = type(spec.layers[0]).__name__ if spec.layers else "nothing"
    _require(first == "Conv", where, "first layer", "a Conv", first)
    outputs: list[tuple[int, int, int]] = []
    last = max(i for i, x in enumerate(spec.layers) if not isinstance(x, Shuffle))
    for i, layer in enumerate(spec.layers):
        at = f"{where} layer {i}"
        if isinstance(layer, Conv):
            _check_conv(layer, at, shape, i == last)
            shape = (layer.window(shape[0])[0], layer.window(shape[1])[0], layer.cout)
            _require(math.prod(shape) <= MAX_MAP, at, "bytes of the map", f"at most {MAX_MAP}", math.prod(shape))
            outputs.append(shape)
        elif isinstance(layer, Shuffle):
            _check_shuffle(layer, at, shape[2], spec.layers[i + 1] if i + 1 < len(spec.layers) else None)
        else:
            _check_whole(at, "Add of", layer.of)
            _require(len(outputs) > 1, at, "Add", "two stages before it", len(outputs))
            _require(0 <= layer.of < len(outputs) - 1, at, "Add of", f"a stage of 0…{len(outputs) - 2}", layer.of)
            _require(outputs[layer.of] == shape, at, "Add of another shape", str(shape), outputs[layer.of])
            outputs.append(shape)
    rows = spec.height + sum(h for h, _, _ in outputs)
    _require(rows <= MAX_ROWS, where, "rows of the image and all maps", f"at most {MAX_ROWS}", rows)
    _check_head(spec, where)


def _check_whole(where: str, what: str, value: object) -> None:
    _require(type(value) is int, where, what, "a whole number", repr(value))  # neither 3.0 nor true, which JSON may say


def _check_conv(c: Conv, at: str, shape: tuple[int, int, int], last: bool) -> None:
    for name in ("k", "stride", "cin", "cout", "groups"):
        _check_whole(at, name, getattr(c, name))
    _require(c.k in (1, 3, 5, 7), at, "kernel size", "1, 3, 5 or 7", c.k)
    _require(c.stride in (1, 2), at, "stride", "1 or 2", c.stride)
    _require(c.pad in get_args(Pad), at, "padding", "same or valid", c.pad)
    _require(c.cin == shape[2], at, "input channels", str(shape[2]), c.cin)
    _require(c.cout >= 1 and c.groups >= 1, at, "channels and groups", "positive", (c.cout, c.groups))
    _require(
        c.cin % c.groups == 0 and c.cout % c.groups == 0, at, "groups", f"a divisor of {c.cin} and {c.cout}", c.groups
    )
    _require(c.taps <= MAX_TAPS, at, "products a sum", f"at most {MAX_TAPS}", c.taps)
    _require(
        c.pad == "same" or min(shape[:2]) >= c.k, at, "map for a valid convolution", f"at least {c.k}", min(shape[:2])
    )
    _require(isinstance(c.relu, bool), at, "relu", "true or false", repr(c.relu))
    _require(c.relu or last, at, "linear Conv", "only as the last stage", "an earlier one")


def _check_shuffle(s: Shuffle, at: str, channels: int, after: Layer | None) -> None:
    _check_whole(at, "Shuffle groups", s.groups)
    proper = 1 < s.groups < channels and channels % s.groups == 0
    _require(proper, at, "Shuffle groups", f"a proper divisor of {channels}", s.groups)
    got = "nothing" if after is None else "a dense Conv" if isinstance(after, Conv) else f"{type(after).__name__}"
    _require(isinstance(after, Conv) and after.groups != 1, at, "layer behind Shuffle", "a grouped Conv", got)


def _check_head(spec: NetSpec, where: str) -> None:
    n, peak = spec.head_size, spec.head_peak
    _require(spec.head.kind in get_args(HeadKind), where, "head", "dot or cosdot", spec.head.kind)
    _require(isinstance(spec.head.pool, bool), where, "pool", "true or false", repr(spec.head.pool))
    _require(127 * peak * n < 2**31, where, "head sum", "below 2^31", 127 * peak * n)
    if spec.head.kind == "cosdot":
        _require(n <= MAX_COSDOT, where, "CosDot elements", f"at most {MAX_COSDOT}", n)
        bound = (127 * peak * n) ** 2 << cosdot_bits(n)
        _require(bound < 2**63, where, "CosDot numerator", "below 2^63", bound)


def cosdot_bits(n: int) -> int:
    """K of CosDot: fractional bits of the squared cosine, 9 for n ≤ 128 elements, else 6."""
    return 9 if n <= 128 else 6
