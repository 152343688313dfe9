"""Face verification protocols: which pairs are compared, and the images that they name.

`load` reads an evaluation set whole; `val_pairs` and `all_pairs` are what training checks itself on.
"""

from hyper_mcu.hypertrain.protocols.pairs import Pairs, all_pairs, val_pairs
from hyper_mcu.hypertrain.protocols.sets import SETS, EvalSet, load

__all__ = ["SETS", "EvalSet", "Pairs", "all_pairs", "load", "val_pairs"]
