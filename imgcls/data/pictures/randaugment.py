"""RandAugment: a few operations drawn for each image, all of one strength (arXiv:1909.13719)."""

import numpy as np
from PIL import Image

from imgcls.data.pictures.operations import OPERATIONS
from imgcls.errors import UserError

CHOICES = (
    "identity",
    "autocontrast",
    "equalize",
    "rotate",
    "solarize",
    "color",
    "posterize",
    "contrast",
    "brightness",
    "sharpness",
    "shearX",
    "shearY",
    "translateX",
    "translateY",
)
"""The paper's 14, with the ranges of ``OPERATIONS``."""

STRONGEST_MAGNITUDE = 10


class RandAugment:
    """Operations drawn independently and with equal chance, one after the other.

    Args:
        num_layers: operations for an image.
        magnitude: strength of each, from 0 to 10; 10 is the strongest AutoAugment has.

    Raises:
        UserError: a value outside its range.
    """

    def __init__(self, num_layers: int, magnitude: float):
        if num_layers < 1:
            raise UserError(f"RandAugment's num_layers is {num_layers}; it must be 1 or more.")
        if not 0 <= magnitude <= STRONGEST_MAGNITUDE:
            raise UserError(f"RandAugment's magnitude is {magnitude}; it must be between 0 and {STRONGEST_MAGNITUDE}.")
        self.num_layers = num_layers
        self.strength = magnitude / STRONGEST_MAGNITUDE

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for choice in rng.integers(len(CHOICES), size=self.num_layers):
            operation = OPERATIONS[CHOICES[choice]]
            amount = operation.amount(self.strength)
            if operation.signed:
                amount *= rng.choice((-1.0, 1.0))
            image = operation.apply(image, amount)
        return image
