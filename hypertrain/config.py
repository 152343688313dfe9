"""The settings of a training run: frozen sections, read from TOML, overridden by `section.key=value`, kept as JSON.

Every section is a frozen dataclass that checks its own numbers. A key that no section has is an error, and so is a
value of another type; a whole number is taken where a real one is meant.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Norm
from hyper_mcu.faces.backbone import split
from hyper_mcu.hypertrain import direct, distill, hyper, views
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
    the stage goes on from it (warm), from what a trunk of another architecture is fitted to it (mould), or is left out
    for it (trunk). generator: a generator.onnx that stage hyper goes on from, its personal part too."""

    warm: str = ""
    mould: str = ""
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
    views: views.Settings = field(default_factory=views.Settings)
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
        name, layers = split(self.backbone.name)
        plain["backbone"]["name"] = ":".join([Path(name).name, *([",".join(layers)] if layers else [])])
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
    """The config with other values in some sections; raises UserError, which names every mistake."""
    sections = {f.name: getattr(config, f.name) for f in fields(config)}
    wrong: list[UserError] = []
    for name, values in given.items():
        typed: dict[str, Any] = {}
        with _noted(wrong):
            for key, value in _items(sections, name, values, where):
                with _noted(wrong):
                    typed[key] = _typed(_kind(sections, name, key, where), value, where, f"{name}.{key}")
            if len(typed) == len(values):
                sections[name] = replace(sections[name], **typed)
    if len(wrong) > 1:
        each = (f"({i}) {str(e).removeprefix(f'{where}: ')}" for i, e in enumerate(wrong, 1))
        raise UserError(where, f"{len(wrong)} mistakes: " + " ".join(each))
    if wrong:
        raise wrong[0]
    return Config(**sections)


@contextmanager
def _noted(wrong: list[UserError]) -> Iterator[None]:
    """Adds a UserError to the list instead of raising it."""
    try:
        yield
    except UserError as e:
        wrong.append(e)


def _items(sections: Mapping[str, Any], name: str, values: Any, where: str) -> Iterable[tuple[str, Any]]:
    """Keys and values of a section; raises UserError where it is none."""
    if name in sections and isinstance(values, Mapping):
        return values.items()
    if name in sections:
        raise UserError(where, f"section {name}", "keys and values", _shown(values))
    if not isinstance(values, Mapping):
        under = ", ".join(f"[{s}]" for s in _having(sections, name) or sections)
        raise UserError(where, f"key {name} outside of a section", f"it under {under}", f"{name} = {_shown(values)}")
    raise UserError(
        where, f"unknown section {name}{_meant(get_close_matches(name, sections))}", ", ".join(sections), name
    )


def _kind(sections: Mapping[str, Any], name: str, key: str, where: str) -> Any:
    """The type of a key; raises UserError where the section has none of that name."""
    hints = get_type_hints(type(sections[name]))
    if key in hints:
        return hints[key]
    meant = _meant(
        [*(f"{name}.{k}" for k in get_close_matches(key, hints)), *(f"{s}.{key}" for s in _having(sections, key))]
    )
    raise UserError(where, f"unknown key {name}.{key}{meant}", ", ".join(f"{name}.{k}" for k in hints), key)


def _having(sections: Mapping[str, Any], key: str) -> list[str]:
    """The sections that have a key of that name."""
    return [name for name, section in sections.items() if key in vars(section)]


def _meant(names: list[str]) -> str:
    return f" (did you mean {' or '.join(names)}?)" if names else ""


def _typed(kind: Any, value: Any, where: str, key: str) -> Any:
    if get_origin(kind) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_typed(get_args(kind)[0], v, where, key) for v in items)
    if kind is float and type(value) is int:
        return float(value)
    if kind is str and type(value) in (int, float):
        return str(value)
    if type(value) is not kind:
        raise UserError(where, key, kind.__name__, _shown(value))
    return value


def _shown(value: Any) -> str:
    """A value as TOML has it: text in quotes."""
    return json.dumps(value, ensure_ascii=False, default=str)
