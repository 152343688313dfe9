"""From a photo to aligned crops and their embeddings. Importing this imports nothing heavy."""

from hyper_mcu.faces.crops import Crop, face_crops

__all__ = ["Crop", "face_crops"]
