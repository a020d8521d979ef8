"""The other ways of an image into a rectangle of another shape: letterboxed, stretched, or seen in five parts.

A letterboxed image is seen whole in its own proportions, with bars around it; a stretched one is seen whole and
fills the rectangle. In training the crop is a random part of what evaluation shows.
"""

import numpy as np
from PIL import Image

from imgcls.data.pictures.crops import (
    Place,
    RandomCropResize,
    Resize,
    ResizeCentreCrop,
    contain,
    corner_boxes,
    random_crop_box,
)
from imgcls.data.pictures.decode import Box, ImageFile
from imgcls.data.pictures.size import Size

Colour = tuple[int, ...]


class Letterbox(Resize):
    """The whole image in its own proportions, in the middle of ``size``; what is left has the colour ``fill``."""

    def __init__(self, size: Size, interpolation: str, fill: Colour):
        super().__init__(size, interpolation)
        self.fill = fill

    def plan(self, width: int, height: int, rng: np.random.Generator) -> tuple[Box, Place]:
        wide, high = contain(width, height, self.size)
        left, top = (self.width - wide) // 2, (self.height - high) // 2
        return self.box(width, height, rng), (left, top, left + wide, top + high)

    def smallest_extent(self, width: int, height: int) -> tuple[float, float]:
        wide, high = contain(width, height, self.size)
        return width * self.width / wide, height * self.height / high


class RandomLetterbox(RandomCropResize):
    """``RandomCropResize`` of a letterboxed image: the crop may reach into the bars, but its middle is in the image."""

    def __init__(self, *arguments, fill: Colour, **options):
        super().__init__(*arguments, **options)
        self.fill = fill

    def plan(self, width: int, height: int, rng: np.random.Generator) -> tuple[Box, Place]:
        wide, high = self._canvas(width, height)
        box = random_crop_box(wide, high, self.scale, self.aspects(wide, high), rng)
        left, right = _with_middle_in(box[0] - (wide - width) // 2, box[2] - box[0], width)
        top, bottom = _with_middle_in(box[1] - (high - height) // 2, box[3] - box[1], height)
        across, down = self.width / (right - left), self.height / (bottom - top)
        inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        start, end = _at_least_a_pixel((inside[0] - left) * across, (inside[2] - left) * across, self.width)
        upper, lower = _at_least_a_pixel((inside[1] - top) * down, (inside[3] - top) * down, self.height)
        return inside, (start, upper, end, lower)

    def smallest_extent(self, width: int, height: int) -> tuple[float, float]:
        return super().smallest_extent(*self._canvas(width, height))

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the image with its bars, in its own pixels."""
        scale = min(self.width / width, self.height / height)
        return max(width, round(self.width / scale)), max(height, round(self.height / scale))


class RandomStretch(RandomCropResize):
    """``RandomCropResize`` of a stretched image: crops are as wide and high as the image, give or take the ratio."""

    def aspects(self, width: int, height: int) -> tuple[float, float]:
        of_image = width / height
        return self.ratio[0] * of_image, self.ratio[1] * of_image


class FiveCrops(ResizeCentreCrop):
    """The centre and the four corners of the resized image, one below the other: ``[5 * height, width, 3]``."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return 5 * self.height, self.width, 3

    def crops(self, width: int, height: int) -> list[Box]:
        """In pixels of the image; its corners after the centre."""
        corners = corner_boxes(*self.resized_size(width, height), self.size)
        return [self.box(width, height, None), *(self.box_at(width, height, corner) for corner in corners)]

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        return self._stacked(image, self.crops(*image.size), 1)

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        boxes = self.crops(*photo.size)
        image, reduction = photo.decode_shrunk(self.smallest_extent(*photo.size), self.size)
        return self._stacked(image, boxes, reduction)

    def _stacked(self, image: Image.Image, boxes: list[Box], reduction: int) -> np.ndarray:
        parts = [self.cut(image, tuple(edge / reduction for edge in box)) for box in boxes]
        return np.concatenate([np.asarray(part) for part in parts])


def _with_middle_in(start: int, length: int, room: int) -> tuple[int, int]:
    """The stretch moved as little as puts its middle between 0 and ``room``."""
    moved = min(max(start, -(length // 2)), room - (length + 1) // 2)
    return moved, moved + length


def _at_least_a_pixel(start: float, end: float, room: int) -> tuple[int, int]:
    first = min(round(start), room - 1)
    return first, max(first + 1, min(round(end), room))
