"""The names of `protocols` under their old place."""

from hyper_mcu.hypertrain.protocols import Pairs, all_pairs, cfp_pairs, val_pairs
from hyper_mcu.hypertrain.protocols.cfp import FOLDS

__all__ = ["FOLDS", "Pairs", "all_pairs", "cfp_pairs", "val_pairs"]
