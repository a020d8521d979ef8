"""Operations on an RGB image that take one amount: the vocabulary of AutoAugment and RandAugment.

Geometry, resampling, colours and the range of each amount are those of the original's
``utils/autoaugment.py``; arXiv:1805.09501, table 6, describes them.
"""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageEnhance, ImageOps
from PIL.Image import Resampling

FILL = (128, 128, 128)
"""Colour of what a shear, shift or rotation leaves empty."""


class Operation(NamedTuple):
    """``apply(image, amount)``, with amounts from ``weakest`` to ``strongest``; ``signed`` ones work either way."""

    apply: Callable[[Image.Image, float], Image.Image]
    weakest: float = 0
    strongest: float = 0
    signed: bool = False

    def amount(self, strength: float) -> float:
        """The amount at a strength of 0 to 1."""
        return self.weakest + (self.strongest - self.weakest) * strength


def _affine(image: Image.Image, matrix: tuple[float, ...], resampling: Resampling) -> Image.Image:
    """Each pixel ``(x, y)`` of the result is ``(a x + b y + c, d x + e y + f)`` of the image."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resampling, fillcolor=FILL)


def shear_x(image: Image.Image, share: float) -> Image.Image:
    return _affine(image, (1, share, 0, 0, 1, 0), Resampling.BICUBIC)


def shear_y(image: Image.Image, share: float) -> Image.Image:
    return _affine(image, (1, 0, 0, share, 1, 0), Resampling.BICUBIC)


def translate_x(image: Image.Image, share: float) -> Image.Image:
    """To the left by a share of the width."""
    return _affine(image, (1, 0, share * image.width, 0, 1, 0), Resampling.NEAREST)


def translate_y(image: Image.Image, share: float) -> Image.Image:
    """Upwards by a share of the height."""
    return _affine(image, (1, 0, 0, 0, 1, share * image.height), Resampling.NEAREST)


def rotate(image: Image.Image, degrees: float) -> Image.Image:
    """Anticlockwise about the centre."""
    return image.rotate(degrees, Resampling.NEAREST, fillcolor=FILL)


def color(image: Image.Image, change: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 + change)


def contrast(image: Image.Image, change: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1 + change)


def sharpness(image: Image.Image, change: float) -> Image.Image:
    return ImageEnhance.Sharpness(image).enhance(1 + change)


def brightness(image: Image.Image, change: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1 + change)


def posterize(image: Image.Image, bits: float) -> Image.Image:
    """Keep the highest bits of each channel."""
    return ImageOps.posterize(image, round(bits))


def solarize(image: Image.Image, threshold: float) -> Image.Image:
    """Invert the values from the threshold on."""
    return ImageOps.solarize(image, threshold)


def autocontrast(image: Image.Image, _: float) -> Image.Image:
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, _: float) -> Image.Image:
    return ImageOps.equalize(image)


def invert(image: Image.Image, _: float) -> Image.Image:
    return ImageOps.invert(image)


def identity(image: Image.Image, _: float) -> Image.Image:
    return image


OPERATIONS = {
    "shearX": Operation(shear_x, 0, 0.3, signed=True),
    "shearY": Operation(shear_y, 0, 0.3, signed=True),
    "translateX": Operation(translate_x, 0, 150 / 331, signed=True),
    "translateY": Operation(translate_y, 0, 150 / 331, signed=True),
    "rotate": Operation(rotate, 0, 30, signed=True),
    "color": Operation(color, 0, 0.9, signed=True),
    "contrast": Operation(contrast, 0, 0.9, signed=True),
    "sharpness": Operation(sharpness, 0, 0.9, signed=True),
    "brightness": Operation(brightness, 0, 0.9, signed=True),
    "posterize": Operation(posterize, 8, 4),
    "solarize": Operation(solarize, 256, 0),
    "autocontrast": Operation(autocontrast),
    "equalize": Operation(equalize),
    "invert": Operation(invert),
    "identity": Operation(identity),
}
