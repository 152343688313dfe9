"""What a file holds where something else was expected, in words for whoever named it, and the error that says so."""

from __future__ import annotations

from hyper_mcu.codegen.errors import UserError

GENERATOR = "a generator of hyper-mcu train"
GENERATOR_FORM = "an ONNX file written by hyper-mcu train"  # where one is expected
NETWORKS = ("a TFLite model", "an ONNX graph")
EXPORTS = ("a TFLite model of hyper-mcu export", "an ONNX graph of hyper-mcu export")
PICTURES = {b"\xff\xd8\xff": "a JPEG picture", b"\x89PNG": "a PNG picture"}
ONNX, PRODUCER = b"\x08", b"\x12\x09hyper-mcu"  # the fields ir_version, a varint, and producer_name


def kind(data: bytes) -> str:
    """What a file of these bytes is, in words; "" for any other text, which may be a model.h. A person.bin, told by its
    magic, is not looked for."""
    if not data:
        return "an empty file"
    if data[4:8] == b"TFL3":
        return EXPORTS[0] if b" by hyper-mcu" in data else NETWORKS[0]
    if data.startswith(ONNX):
        if PRODUCER not in data[:16]:
            return NETWORKS[1]
        return GENERATOR if b"backbone_sha256" in data else EXPORTS[1]
    for start, picture in PICTURES.items():
        if data.startswith(start):
            return picture
    return "other data" if b"\0" in data else ""


def no_person(where: object, expected: str, found: str) -> UserError:
    """The error for a file that holds `found`, as `kind` says it, where a person was expected."""
    if found in EXPORTS:
        origin = "the model.h or person.bin that it was made from"
        return UserError(where, "made for other runtimes and not read back", origin, found)
    return UserError(where, "no person" + _scope(found), expected, found)


def no_generator(where: object, data: bytes, fault: Exception) -> UserError:
    """The error for a file of these bytes that could not be read as a generator.onnx because of `fault`."""
    found = kind(data)
    got = f"one that is damaged, {type(fault).__name__}" if found == GENERATOR else found or "text"
    return UserError(where, "not a generator" + _scope(found), GENERATOR_FORM, got)


def _scope(found: str) -> str:
    return "; importing networks of other tools is out of scope" if found in NETWORKS else ""
