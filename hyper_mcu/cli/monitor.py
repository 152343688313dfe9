"""`hyper-mcu monitor`: what a device says by itself, its text as text and the link's frames decoded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.device.frames import Frame
    from hyper_mcu.device.line import Line

QUIET_S = 0.3  # after so long what came is shown, although no frame and no line has ended
SHOWN = 32  # bytes of a payload
MOST = 4096  # bytes without an end: more than any frame has


class Ear:
    """Takes what a line says apart into frames and text, whatever its pieces."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[Frame | str]:
        """The frames and texts that these bytes complete, in order."""
        from hyper_mcu.device.frames import decode

        *whole, kept = (self._kept + data).split(b"\0")
        heard: list[Frame | str] = []
        for piece in whole:
            if (frame := decode(piece)) is not None:
                heard.append(frame)
            else:
                heard += texts(piece)
        end = kept.rfind(b"\n") + 1 if len(kept) < MOST else len(kept)
        said, self._kept = (kept[:end], kept[end:]) if is_text(kept[:end]) or len(kept) >= MOST else (b"", kept)
        return [*heard, *texts(said)]

    def rest(self) -> list[Frame | str]:
        """What has come since, as text: nothing goes on behind it."""
        kept, self._kept = self._kept, b""
        return [*texts(kept)]


def is_text(data: bytes) -> bool:
    """Whether these are lines of a console, and not a frame's beginning, whose second byte is its type, no letter."""
    return all(32 <= byte < 127 or (byte in b"\t\r\n\x1b" and n != 1) for n, byte in enumerate(data))


def texts(data: bytes) -> list[str]:
    """The lines of a console, without empty ones."""
    lines = data.decode("utf-8", "backslashreplace").splitlines()
    return [line.rstrip() for line in lines if line.strip()]


def told(heard: Frame | str) -> dict[str, Any]:
    """A frame or a text as `--json` prints it."""
    if isinstance(heard, str):
        return {"text": heard, "frame": None}
    from hyper_mcu.device.frames import RESPONSE, Request

    kind = heard.type & ~RESPONSE
    name = Request(kind).name if kind in set(Request) else f"type {heard.type}"
    return {
        "text": None,
        "frame": {
            "request": name.replace("_", "-"),
            "response": heard.type >= RESPONSE,
            "sequence": heard.sequence,
            "payload": heard.payload.hex(),
        },
    }


def line(seconds: float, said: dict[str, Any]) -> str:
    """The same for people."""
    from hyper_mcu.codegen.errors import one_line

    frame = said["frame"]
    if frame is None:
        return f"{seconds:8.2f}  {one_line(said['text'])}"
    arrow, payload = "◄" if frame["response"] else "►", frame["payload"]
    shown = payload[: 2 * SHOWN] + ("…" if len(payload) > 2 * SHOWN else "")
    return f"{seconds:8.2f}  {arrow} {frame['request']} {frame['sequence']}: {len(payload) // 2} bytes {shown}".rstrip()


def hear(source: Line, seconds: float | None) -> Iterator[tuple[float, Frame | str]]:
    """What a line says, each with the seconds since the start, for so long or for ever."""
    ear, began, last = Ear(), time.monotonic(), time.monotonic()
    while seconds is None or time.monotonic() - began < seconds:
        data = source.read(QUIET_S if seconds is None else min(QUIET_S, max(began + seconds - time.monotonic(), 0.001)))
        now = time.monotonic()
        heard = ear.feed(data) if data else ear.rest() if now - last >= QUIET_S else []
        last = now if data else last
        for one in heard:
            yield now - began, one
    for one in ear.rest():
        yield time.monotonic() - began, one


@click.command("monitor")
@click.option("--port", default="auto", show_default=True, help="Serial port, or tcp:HOST:PORT.")
@click.option("--rate", default=115_200, show_default=True, type=click.IntRange(300), help="Bits a second of the port.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="How long; default: until Ctrl-C.")
@click.option("--json", "json_wanted", is_flag=True, help="A JSON object a line on stdout.")
def command(port: str, rate: int, seconds: float | None, json_wanted: bool) -> None:
    """Print what a device says by itself: text as text, frames of the link with their type and payload.

    It only listens, and holds the port meanwhile: no other command reaches the device until it ends.
    """
    import json

    from hyper_mcu.device.find import port_named
    from hyper_mcu.device.line import open_line

    source = open_line(port_named(port), rate)
    click.echo(f"listening on {source.name}; Ctrl-C ends it", err=True)
    try:
        for at, heard in hear(source, seconds):
            said = told(heard)
            if json_wanted:
                click.echo(json.dumps({"schema_version": 1, "seconds": round(at, 3), **said}))
            else:
                click.echo(line(at, said))
    except KeyboardInterrupt:
        click.echo("", err=True)
    finally:
        source.close()
