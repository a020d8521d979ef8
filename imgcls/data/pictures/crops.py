"""The box of an image that a network is shown, cut out and resized by Pillow, which averages when it shrinks."""

import math

import numpy as np
from PIL import Image

from imgcls.data import choices
from imgcls.data.pictures.channels import new_image
from imgcls.data.pictures.decode import Box, ImageFile
from imgcls.data.pictures.size import Size, as_size, sides
from imgcls.errors import UserError, close_matches

INTERPOLATIONS = {name: Image.Resampling[filter] for name, filter in choices.INTERPOLATIONS.items()}


Place = tuple[int, int, int, int]
"""Left, top, right and bottom in a result."""


class CropResize:
    """A box of the image, resized to ``size``; a subclass says which box, and what of the result it fills.

    Results are images as the one that is given, of Pillow or a ``ChannelImage``; or of ``opencv`` uint8 arrays
    ``[height, width, 3]``.
    """

    crop_first = False
    """Whether the box is cut out before it is resized, so that what lies around it has no influence."""

    fill = (0, 0, 0)
    """Colour of what no part of the image covers."""

    def __init__(self, size: Size, interpolation: str = "linear"):
        self.size = as_size(size)
        self.height, self.width = sides(self.size)
        require(min(self.height, self.width) >= 1, "size", size, "1 or more pixels")
        self.resampling = _resampling(interpolation)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of every result that is RGB."""
        return self.height, self.width, 3

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        """The box in an image of this size."""
        raise NotImplementedError

    def plan(self, width: int, height: int, rng: np.random.Generator) -> tuple[Box, Place]:
        """The box in an image of this size, and where in the result it goes: everywhere, unless a subclass says so."""
        return self.box(width, height, rng), (0, 0, self.width, self.height)

    def smallest_extent(self, width: int, height: int) -> tuple[float, float]:
        """Width and height that no box in an image of this size falls short of."""
        left, top, right, bottom = self.box(width, height, np.random.default_rng(0))
        return right - left, bottom - top

    def cut(self, image: Image.Image, box: Box, size: Size | None = None) -> Image.Image:
        """The box of the image, resized; to a part of the result where a ``size`` is given."""
        height, width = sides(size or self.size)
        return image.resize((width, height), self.resampling, box=box)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        box, place = self.plan(*image.size, rng)
        return self.placed(image, box, place)

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> Image.Image:
        """The same from a photo, decoded at a resolution that leaves the box as many pixels as it is resized to."""
        box, place = self.plan(*photo.size, rng)
        return self.placed(*photo.decode_around(box, size_of(place), self.crop_first), place)

    def placed(self, image: Image.Image, box: Box, place: Place) -> Image.Image:
        """The box, resized, at its place of the result."""
        return self.on_canvas(self.cut(image, box, size_of(place)), place)

    def on_canvas(self, part: Image.Image, place: Place) -> Image.Image:
        """A part of the result at its place, on ``fill``."""
        if place == (0, 0, self.width, self.height):
            return part
        canvas = new_image(part, (self.width, self.height), self.fill)
        canvas.paste(part, place[:2])
        return canvas

    def decode(self, photo: ImageFile) -> Image.Image:
        """The photo as small as any box of it allows; one image to crop again and again."""
        return photo.decode_shrunk(self.smallest_extent(*photo.size), self.size)[0]


class RandomCropResize(CropResize):
    """A crop of random area, shape and place, resized to ``size``.

    The area is bounded so that a crop of the drawn shape always fits; nothing is tried again.

    Args:
        ratio: smallest and largest width over height of the crop, as multiples of those of ``size``.
    """

    crop_first = True

    def __init__(
        self,
        size: Size,
        scale: tuple[float, float],
        ratio: tuple[float, float],
        interpolation: str = "linear",
    ):
        super().__init__(size, interpolation)
        require(len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1, "scale", scale, "two shares, 0 < low <= high <= 1")
        require(len(ratio) == 2 and 0 < ratio[0] <= ratio[1], "ratio", ratio, "two ratios, 0 < low <= high")
        self.scale = scale
        self.ratio = ratio

    def aspects(self, width: int, height: int) -> tuple[float, float]:
        """Smallest and largest width over height of a crop from an image of this size."""
        of_size = self.width / self.height
        return self.ratio[0] * of_size, self.ratio[1] * of_size

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        return random_crop_box(width, height, self.scale, self.aspects(width, height), rng)

    def smallest_extent(self, width: int, height: int) -> tuple[float, float]:
        # Boxes get wider with their aspect and lower, also where the image bounds their area.
        narrowest, widest = self.aspects(width, height)
        area = width * height
        least_width = math.sqrt(area * self._least_share(width, height, narrowest)) * math.sqrt(narrowest)
        least_height = math.sqrt(area * self._least_share(width, height, widest)) / math.sqrt(widest)
        return max(1, int(least_width)), max(1, int(least_height))

    def _least_share(self, width: int, height: int, aspect: float) -> float:
        return min(self.scale[0], height / width * aspect, width / height / aspect)

    def cut(self, image: Image.Image, box: Box, size: Size | None = None) -> Image.Image:
        left, top, right, bottom = whole_pixels(box)
        crop = image.crop((left, top, right, bottom))
        return super().cut(crop, (box[0] - left, box[1] - top, box[2] - left, box[3] - top), size)


class Resize(CropResize):
    """The whole image, whatever its shape."""

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        return 0, 0, width, height


class ResizeCentreCrop(CropResize):
    """Resized to cover ``size`` and some more, then the central ``size``.

    Of a square the short side becomes ``resize_size``; of anything else the image just covers a rectangle of
    its shape whose short side that is. Only the pixels of the crop are computed, so a very long and thin
    image costs no more than a square one.
    """

    def __init__(self, size: Size, resize_size: int, interpolation: str = "linear"):
        super().__init__(size, interpolation)
        short = min(self.height, self.width)
        require(resize_size >= short, "resize_size", resize_size, f"at least the size of the crop, {short}")
        self.resize_size = resize_size

    def resized_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of all of an image of this size before the crop."""
        return cover(width, height, self.size, self.resize_size)

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        return self.box_at(width, height, centre_crop_box(*self.resized_size(width, height), self.size))

    def box_at(self, width: int, height: int, crop: Box) -> Box:
        """A crop of the resized image, in pixels of the image itself."""
        resized_width, resized_height = self.resized_size(width, height)
        left, top, right, bottom = crop
        across, down = width / resized_width, height / resized_height
        return left * across, top * down, right * across, bottom * down


def random_crop_box(
    width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random crop; drawn in order: aspect, area, top, left."""
    aspect = rng.uniform(*ratio)
    bound = min(height / width * aspect, width / height / aspect)
    area = width * height * rng.uniform(min(scale[0], bound), min(scale[1], bound))
    # An image a few pixels wide can round a side to 0; rounding up past the image is as rare.
    crop_width = min(max(1, int(math.sqrt(area) * math.sqrt(aspect))), width)
    crop_height = min(max(1, int(math.sqrt(area) / math.sqrt(aspect))), height)
    top = int(rng.integers(0, height - crop_height, endpoint=True))
    left = int(rng.integers(0, width - crop_width, endpoint=True))
    return left, top, left + crop_width, top + crop_height


def whole_pixels(box: Box) -> tuple[int, int, int, int]:
    """The box of all pixels that a box has a part of."""
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


def cover(width: int, height: int, size: Size, resize_size: int) -> tuple[int, int]:
    """Width and height once the image covers a rectangle of the shape of ``size`` whose short side is ``resize_size``.

    Of a square: once the short side is ``resize_size``. Rounded as Python rounds.
    """
    high, wide = sides(size)
    short = min(high, wide)
    scale = max(resize_size * wide / short / width, resize_size * high / short / height)
    return round(width * scale), round(height * scale)


def contain(width: int, height: int, size: Size) -> tuple[int, int]:
    """Width and height once the image is as large as ``size`` has room for."""
    high, wide = sides(size)
    scale = min(wide / width, high / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def resize_short_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height once the short side is ``size``."""
    return cover(width, height, size, size)


def centre_crop_box(width: int, height: int, size: Size) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the central ``size``."""
    high, wide = sides(size)
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def corner_boxes(width: int, height: int, size: Size) -> list[tuple[int, int, int, int]]:
    """Boxes of ``size`` in the four corners."""
    high, wide = sides(size)
    return [(left, top, left + wide, top + high) for top in (0, height - high) for left in (0, width - wide)]


def size_of(place: Place) -> Size:
    return as_size((place[3] - place[1], place[2] - place[0]))


def _resampling(interpolation: str) -> Image.Resampling:
    if interpolation not in INTERPOLATIONS:
        raise UserError(
            f"There is no interpolation '{interpolation}'.{close_matches(str(interpolation), INTERPOLATIONS)} "
            f"It can be {', '.join(INTERPOLATIONS)}."
        )
    return INTERPOLATIONS[interpolation]


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """
    Raises:
        UserError: a value of a transform is not as ``expected``.
    """
    if not condition:
        raise UserError(f"The transform's {name} is {value}; it must be {expected}.")
