"""The graph of an ONNX file made fit for batches and for looking inside, without the onnx package.

An ONNX file is a protocol buffer: fields of a number and a value, some of them messages again (onnx.proto3 names them).
Only the graph's inputs and outputs are written anew; every other byte is taken over as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

GRAPH = 7  # of ModelProto
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12  # of GraphProto
NODE_INPUT, NODE_OUTPUT = 1, 2
TENSOR_NAME = 8
EXTERNAL = 13  # of TensorProto: its data are in another file
NAME, TYPE = 1, 2  # of ValueInfoProto
TENSOR_TYPE, ELEMENT, SHAPE, DIMENSION, SIZE, SYMBOL = 1, 1, 2, 1, 1, 2
FLOAT = 1
ELEMENTS = {2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}
BATCH = "N"  # name of the free first dimension


def rebuilt(data: bytes, layers: Sequence[str] = ()) -> bytes:
    """The model with a free batch size, one input float (N, 3, 112, 112), and `layers` as outputs behind its own.

    Graph inputs that are initialisers, or that no node reads, go: they are in the way of constant folding, or of
    running at all. Raises ValueError, in words for the user, where the file is no ONNX model of one picture, where it
    keeps data in another file, and where a layer is unknown.
    """
    try:
        model = list(_fields(data))
        graph = list(_fields(next(value for number, value, _ in model if number == GRAPH)))
    except (IndexError, StopIteration, TypeError) as e:
        raise ValueError("expected an ONNX model, got something else") from e
    nodes = [list(_fields(value)) for number, value, _ in graph if number == NODE]
    read = {bytes(value) for node in nodes for number, value, _ in node if number == NODE_INPUT}
    written = [bytes(value) for node in nodes for number, value, _ in node if number == NODE_OUTPUT]
    held = set()
    for tensor in (list(_fields(value)) for number, value, _ in graph if number == INITIALIZER):
        held |= {bytes(value) for number, value, _ in tensor if number == TENSOR_NAME}
        if any(number == EXTERNAL for number, _, _ in tensor):
            raise ValueError("expected one file, got a model with its data in another")
    inputs = [value for number, value, _ in graph if number == INPUT]
    pictures = [value for value in inputs if _name(value) in read - held]
    shapes = [_shape(value) for value in pictures]
    if len(shapes) != 1 or not _is_picture(shapes[0]):
        raise ValueError(f"expected one input N×3×112×112, got {shapes or 'none'}")
    if (kind := _element(pictures[0])) != FLOAT:
        raise ValueError(f"expected an input of float32, got {ELEMENTS.get(kind, kind)}")
    unknown = [layer for layer in layers if layer.encode() not in written]
    if unknown:
        raise ValueError(f"expected names of tensors in the graph as layers, got {unknown[0]!r}")
    own = [(_name(value), _element(value) or FLOAT) for number, value, _ in graph if number == OUTPUT][:1]
    outputs = [*own, *((layer.encode(), FLOAT) for layer in layers)]
    kept: list[bytes | memoryview] = [
        *(raw for number, _, raw in graph if number not in (INPUT, OUTPUT)),
        _message(INPUT, _picture(_name(pictures[0]))),
        *(_message(OUTPUT, _message(NAME, name) + _of_any_shape(kind)) for name, kind in outputs),
    ]
    head = _encoded(GRAPH << 3 | 2) + _encoded(sum(len(raw) for raw in kept))
    return b"".join([*(raw for number, _, raw in model if number != GRAPH), head, *kept])


def _is_picture(shape: list[int]) -> bool:
    """Whether crops fit in: 0 is a free size, and the first one is the batch's."""
    return len(shape) == 4 and all(have in (0, want) for have, want in zip(shape[1:], (3, 112, 112), strict=True))


def _picture(name: bytes) -> bytes:
    """A ValueInfoProto: float (N, 3, 112, 112)."""
    sizes = [_message(SYMBOL, BATCH.encode()), *(_number(SIZE, n) for n in (3, 112, 112))]
    shape = b"".join(_message(DIMENSION, size) for size in sizes)
    return _message(NAME, name) + _message(
        TYPE, _message(TENSOR_TYPE, _number(ELEMENT, FLOAT) + _message(SHAPE, shape))
    )


def _name(value: memoryview) -> bytes:
    return next((bytes(v) for number, v, _ in _fields(value) if number == NAME), b"")


def _of_any_shape(kind: int) -> bytes:
    """The type of a ValueInfoProto that says what the elements are alone."""
    return _message(TYPE, _message(TENSOR_TYPE, _number(ELEMENT, kind)))


def _within(value: memoryview, *path: int) -> memoryview:
    """The field that a path of numbers leads to, the first one at each step; empty where there is none."""
    for number in path:
        value = next((v for n, v, _ in _fields(value) if n == number), memoryview(b""))
    return value


def _element(value: memoryview) -> int:
    """What the elements of a ValueInfoProto are, 0 where it does not say."""
    kind = _within(value, TYPE, TENSOR_TYPE, ELEMENT)
    return _varint(kind, 0)[0] if kind else 0


def _shape(value: memoryview) -> list[int]:
    """Sizes of a ValueInfoProto, 0 where one is free."""
    sizes = [list(_fields(v)) for n, v, _ in _fields(_within(value, TYPE, TENSOR_TYPE, SHAPE)) if n == DIMENSION]
    return [next((_varint(raw, 1)[0] for n, _, raw in size if n == SIZE), 0) for size in sizes]


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, value (of a number: its bytes) and all bytes of each field; IndexError where the message breaks off."""
    view, at = memoryview(data), 0
    while at < len(view):
        start = at
        key, at = _varint(view, at)
        kind = key & 7
        if kind == 0:
            begin, at = at, _varint(view, at)[1]
        elif kind == 2:
            size, begin = _varint(view, at)
            at = begin + size
        elif kind in (1, 5):
            begin, at = at, at + (8 if kind == 1 else 4)
        else:
            raise IndexError(kind)
        if at > len(view):
            raise IndexError(at)
        yield key >> 3, view[begin:at], view[start:at]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _encoded(field << 3) + _encoded(value)


def _message(field: int, value: bytes) -> bytes:
    return _encoded(field << 3 | 2) + _encoded(len(value)) + value
