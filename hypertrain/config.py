"""The settings of a training run: frozen sections, read from TOML, overridden by `section.key=value`, kept as JSON.

Every section is a frozen dataclass that checks its own numbers. A key that no section has is an error, and so is a
value of another type; a whole number is taken where a real one is meant.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Norm
from hyper_mcu.hypertrain import direct, distill, hyper
from hyper_mcu.hypertrain.data import layout
from hyper_mcu.hypertrain.hgen import Shape
from hyper_mcu.hypertrain.loop import Run
from hyper_mcu.hypertrain.settings import at_least, one_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Data:
    """Where the images are. kind: layout of the folder, `auto` finds it; held_out: people kept for checks where the set
    has no split of its own; decoded: sets up to so many GB of pixels are decoded once, larger ones again and again."""

    root: str = ""
    kind: str = "auto"
    held_out: int = 300
    decoded: float = 8.0

    def __post_init__(self) -> None:
        at_least("data", self, held_out=2, decoded=0)
        one_of("data", self, kind=("auto", *layout.KINDS))


@dataclass(frozen=True)
class Start:
    """Files that a run begins from. A trunk, which is a checkpoint of stage distill or what a generator.onnx shares:
    the stage goes on from it (warm) or is left out for it (trunk). generator: a generator.onnx that stage hyper goes on
    from, its personal part too."""

    warm: str = ""
    trunk: str = ""
    generator: str = ""

    def __post_init__(self) -> None:
        given = [name for name, path in vars(self).items() if path]
        if len(given) > 1:
            raise UserError(
                f"start.{given[1]}", "a run begins in one way", f"nothing beside start.{given[0]}", given[1]
            )


@dataclass(frozen=True)
class Net:
    """f: a preset, and its normalisation where it is to be another one."""

    preset: str = "paper"
    norm: str = ""

    def __post_init__(self) -> None:
        one_of("net", self, norm=("", *get_args(Norm)))


@dataclass(frozen=True)
class Backbone:
    """h_bb: a name or an ONNX file, behind a colon layers of it. A net that no package ships needs its checkpoint:
    weights, a file, or url and sha256, of a file to be fetched."""

    name: str = "mbf-w600k"
    weights: str = ""
    url: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Config:
    """All sections; a stage whose steps are 0 is left out. Raises UserError for stages that exclude each other."""

    data: Data = field(default_factory=Data)
    start: Start = field(default_factory=Start)
    net: Net = field(default_factory=Net)
    backbone: Backbone = field(default_factory=Backbone)
    hgen: Shape = field(default_factory=Shape)
    distill: distill.Settings = field(default_factory=distill.Settings)
    hyper: hyper.Settings = field(default_factory=hyper.Settings)
    direct: direct.Settings = field(default_factory=direct.Settings)
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        if self.direct.steps and (self.distill.steps or self.hyper.steps):
            raise UserError("direct.steps", "f is trained directly or by h", "distill.steps and hyper.steps 0", "both")

    def to_json(self) -> str:
        """Canonical JSON, `from_json`'s inverse."""
        return json.dumps(asdict(self), sort_keys=True)

    def told(self) -> dict[str, Any]:
        """The settings as plain values for those who get the generator: files by their names, without folders."""
        plain = asdict(self)
        places = [("data", "root"), ("backbone", "weights"), *(("start", k) for k in plain["start"])]
        for section, key in places:
            plain[section][key] = Path(plain[section][key]).name
        plain["backbone"]["name"] = Path(self.backbone.name).name
        return plain


SHIPPED = Path(__file__).resolve().parent / "configs"


def find(name: str) -> Path:
    """The settings that come along under that name, else a file; raises UserError where there is neither."""
    shipped = {p.stem: p for p in sorted(SHIPPED.glob("*.toml"))}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise UserError("--config", "no such settings", "a TOML file or one of " + ", ".join(shipped), name)
    return path


def from_json(text: str) -> Config:
    """The config of its JSON; raises UserError where it is none."""
    return _with(Config(), json.loads(text), "config")


def read(path: Path | None = None, overrides: Iterable[str] = (), under: Config | None = None) -> Config:
    """The defaults or the settings `under`, the TOML file's values over them, then the `section.key=value` overrides.
    Raises UserError."""
    config = under or Config()
    if path is not None:
        try:
            config = _with(config, tomllib.loads(path.read_text(encoding="utf-8")), str(path))
        except (OSError, UnicodeDecodeError) as e:
            raise UserError(path, "no settings", "a TOML file", getattr(e, "strerror", None) or "not UTF-8") from e
        except tomllib.TOMLDecodeError as e:
            raise UserError(path, "not TOML", "[section] and key = value lines", str(e)) from e
    return changed(config, overrides)


def changed(config: Config, overrides: Iterable[str]) -> Config:
    """The config with `section.key=value` overrides; raises UserError."""
    given: dict[str, dict[str, Any]] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        section, _, name = key.partition(".")
        if not (section and name and equals):
            raise UserError("--set", "not a setting", "section.key=value", text)
        given.setdefault(section, {})[name] = _value(value)
    return _with(config, given, "--set")


def _value(text: str) -> Any:
    """A TOML value, or else the text itself: names and paths need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _with(config: Config, given: Mapping[str, Any], where: str) -> Config:
    sections = {f.name: getattr(config, f.name) for f in fields(config)}
    for name, values in given.items():
        if name not in sections:
            raise UserError(where, f"unknown section {name}", ", ".join(sections), name)
        if not isinstance(values, Mapping):
            raise UserError(where, f"section {name}", "keys and values", repr(values))
        hints = get_type_hints(type(sections[name]))
        for key in values:
            if key not in hints:
                raise UserError(where, f"unknown key {name}.{key}", ", ".join(f"{name}.{k}" for k in hints), key)
        typed = {key: _typed(hints[key], v, where, f"{name}.{key}") for key, v in values.items()}
        sections[name] = replace(sections[name], **typed)
    return Config(**sections)


def _typed(kind: Any, value: Any, where: str, key: str) -> Any:
    if get_origin(kind) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_typed(get_args(kind)[0], v, where, key) for v in items)
    if kind is float and type(value) is int:
        return float(value)
    if kind is str and type(value) in (int, float):
        return str(value)
    if type(value) is not kind:
        raise UserError(where, key, kind.__name__, value)
    return value
