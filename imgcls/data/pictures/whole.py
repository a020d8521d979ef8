"""The whole of an image in its own proportions, for networks that take any height and width.

Images of one batch then differ in shape. They come packed into arrays of one shape, which ``unpack`` takes apart.
"""

import math

import numpy as np
from PIL import Image

from imgcls.data.pictures.crops import ResizeCentreCrop
from imgcls.data.pictures.decode import ImageFile
from imgcls.data.pictures.size import Size, sides

STEP = 32
"""Sides are multiples of it, as the strides of most networks want."""

MOST = 4
"""Times the pixels of a network's input; a longer image is shrunk to that."""

HEAD = 8
"""Values before the pixels: height and width as the bytes of 32-bit numbers."""


def shape_of_whole(width: int, height: int, size: Size, resize_size: int) -> tuple[int, int]:
    """Height and width of the resized image: its short side ``resize_size``, both rounded to ``STEP``.

    An image with more than ``MOST`` times the pixels of ``size`` becomes smaller, in its proportions as long as its
    short side is at least half of that of ``size``; a longer one is squeezed.
    """
    room, least = MOST * math.prod(sides(size)), math.ceil(min(sides(size)) / 2 / STEP) * STEP
    scale = min(resize_size / min(width, height), math.sqrt(room / (width * height)))
    high, wide = (max(least, round(side * scale / STEP) * STEP) for side in (height, width))
    while high * wide > room and max(high, wide) > least:
        high, wide = (high - STEP, wide) if high >= wide else (high, wide - STEP)
    return high, wide


class Whole(ResizeCentreCrop):
    """Resized as before a centre crop, but not cropped; packed, see ``unpack``."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return MOST * self.height + math.ceil(HEAD / self.width), self.width, 3

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        shape = shape_of_whole(*image.size, self.size, self.resize_size)
        return self._packed(np.asarray(self.cut(image, (0, 0, *image.size), shape)))

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        width, height = photo.size
        shape = shape_of_whole(width, height, self.size, self.resize_size)
        image, box = photo.decode_around((0, 0, width, height), shape)
        return self._packed(np.asarray(self.cut(image, box, shape)))

    def _packed(self, pixels: np.ndarray) -> np.ndarray:
        rows, columns, _ = self.image_shape
        packed = np.zeros((rows, columns, pixels.shape[2]), pixels.dtype)
        flat = packed.reshape(-1)
        flat[:HEAD] = np.array(pixels.shape[:2], "<u4").view(np.uint8)
        flat[HEAD : HEAD + pixels.size] = pixels.reshape(-1)
        return packed


def unpack(packed: np.ndarray) -> np.ndarray:
    """The image ``[height, width, C]`` in what ``Whole`` gave for it."""
    flat = np.ascontiguousarray(packed).reshape(-1)
    height, width = flat[:HEAD].astype(np.uint8).view("<u4")
    channels = packed.shape[-1]
    return flat[HEAD : HEAD + height * width * channels].reshape(height, width, channels)
