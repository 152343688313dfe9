"""The hash that two runs of one net share exactly when every layer's bytes and the logit are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def layers_sha256(layer_bytes: Iterable[bytes], logit: int) -> str:
    """SHA-256(d_1 ‖ … ‖ d_L ‖ logit) as hex; d_i = SHA-256 of layer i.

    layer_bytes: each layer's int8 HWC bytes in canonical order, rows from the top; logit: int32, hashed as four bytes,
    little-endian two's complement.
    """
    whole = hashlib.sha256()
    for layer in layer_bytes:
        whole.update(hashlib.sha256(layer).digest())
    whole.update(logit.to_bytes(4, "little", signed=True))
    return whole.hexdigest()
