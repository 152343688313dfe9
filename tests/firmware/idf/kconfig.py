"""As much of Kconfig as the ESP32 component uses: from its file and a board's defaults to the macros of sdkconfig.h."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

PORT = Path(__file__).parents[3] / "firmware" / "ports" / "esp32"
KCONFIG = PORT / "Kconfig"
PROJECT = PORT / "project"
CHIPS = {"esp32": "IDF_TARGET_ESP32", "esp32s3": "IDF_TARGET_ESP32S3"}
OF_IDF = {  # what ESP-IDF's own Kconfig makes of these names
    "ESP_DEFAULT_CPU_FREQ_MHZ_240": {"ESP_DEFAULT_CPU_FREQ_MHZ": "240"},
    "IDF_TARGET_ESP32S3": {"SOC_USB_SERIAL_JTAG_SUPPORTED": "1"},
}


@dataclass
class Option:
    """A config of Kconfig: its type, its defaults with their conditions, the choice that it is in."""

    name: str
    choice: int | None
    kind: str = ""
    defaults: list[tuple[str, str]] = field(default_factory=list)
    depends: str = ""
    range: tuple[int, int] | None = None


def options(text: str) -> tuple[list[Option], dict[int, list[tuple[str, str]]]]:
    """All options in order, and of each choice its defaults."""
    found: list[Option] = []
    choices: dict[int, list[tuple[str, str]]] = {}
    choice: int | None = None
    at: list[tuple[str, str]] = []
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "choice":
            choice = len(choices)
            at = choices[choice] = []
        elif word == "endchoice":
            choice = None
        elif word == "config":
            found.append(Option(rest, choice))
            at = found[-1].defaults
        elif word in ("bool", "int", "string") and found:
            found[-1].kind = word
        elif word == "default":
            value, _, condition = rest.partition(" if ")
            at.append((value, condition))
        elif word == "depends":
            found[-1].depends = rest.removeprefix("on ")
        elif word == "range":
            low, high = rest.split()
            found[-1].range = (int(low), int(high))
    return found, choices


def given(path: Path) -> dict[str, str]:
    """What a file of defaults sets, without CONFIG_."""
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", path.read_text("ascii"), re.MULTILINE))


def macros(board: str) -> dict[str, str]:
    """The macros of sdkconfig.h for boards/BOARD.defaults, without CONFIG_."""
    settings = given(PROJECT / "sdkconfig.defaults") | given(PROJECT / "boards" / f"{board}.defaults")
    values = {k: "1" if v == "y" else v for k, v in settings.items() if v != "n"}
    values[CHIPS[settings["IDF_TARGET"].strip('"')]] = "1"
    for name in [n for n in values if n in OF_IDF]:
        values |= OF_IDF[name]
    found, choices = options(KCONFIG.read_text("ascii"))
    for option in found:
        if option.choice is not None:
            members = [o for o in found if o.choice == option.choice]
            if not any(o.name in values for o in members):
                chosen = next(
                    name for name, condition in choices[option.choice] if not condition or condition in values
                )
                values[chosen] = "1"
        elif option.name not in values:
            for value, condition in option.defaults:
                if not condition or condition in values:
                    if value != "n":
                        values[option.name] = "1" if value == "y" else value
                    break
    return values


def sdkconfig(board: str, **changed: str) -> str:
    """The text of sdkconfig.h; changed: macros without CONFIG_ that have other values, "" for none."""
    values = {k: v for k, v in (macros(board) | changed).items() if v}
    return "".join(f"#define CONFIG_{name} {value}\n" for name, value in values.items())
