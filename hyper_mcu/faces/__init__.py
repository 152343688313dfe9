"""From a photo to aligned crops and their embeddings. Importing this imports nothing heavy."""

from hyper_mcu.faces.crops import Crop, crops_by, face_crops

__all__ = ["Crop", "crops_by", "face_crops"]
