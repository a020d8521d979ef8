"""The box of an image that a network is shown, cut out and resized by Pillow, which averages when it shrinks."""

import math

import numpy as np
from PIL import Image

from imgcls.data import choices
from imgcls.data.pictures.decode import Box, ImageFile
from imgcls.errors import UserError, close_matches

INTERPOLATIONS = {name: Image.Resampling[filter] for name, filter in choices.INTERPOLATIONS.items()}


class CropResize:
    """A box of the image, resized to a square of ``size``; a subclass says which box.

    Results are images, or of ``opencv`` uint8 arrays ``[size, size, 3]``.
    """

    crop_first = False
    """Whether the box is cut out before it is resized, so that what lies around it has no influence."""

    def __init__(self, size: int, interpolation: str = "linear"):
        require(size >= 1, "size", size, "1 or more pixels")
        self.size = size
        self.resampling = _resampling(interpolation)

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        """The box in an image of this size."""
        raise NotImplementedError

    def smallest_side(self, width: int, height: int) -> float:
        """Length that no side of a box in an image of this size is shorter than."""
        left, top, right, bottom = self.box(width, height, np.random.default_rng(0))
        return min(right - left, bottom - top)

    def cut(self, image: Image.Image, box: Box) -> Image.Image:
        return image.resize((self.size, self.size), self.resampling, box=box)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return self.cut(image, self.box(*image.size, rng))

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> Image.Image:
        """The same from a photo, decoded at a resolution that leaves the box ``size`` pixels high and wide."""
        return self.cut(*photo.decode_around(self.box(*photo.size, rng), self.size, self.crop_first))

    def decode(self, photo: ImageFile) -> Image.Image:
        """The photo as small as any box of it allows; one image to crop again and again."""
        return photo.decode_shrunk(self.smallest_side(*photo.size), self.size)[0]


class RandomCropResize(CropResize):
    """A crop of random area, shape and place, resized to a square.

    The area is bounded so that a crop of the drawn shape always fits; nothing is tried again.
    """

    crop_first = True

    def __init__(
        self,
        size: int,
        scale: tuple[float, float],
        ratio: tuple[float, float],
        interpolation: str = "linear",
    ):
        super().__init__(size, interpolation)
        require(len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1, "scale", scale, "two shares, 0 < low <= high <= 1")
        require(len(ratio) == 2 and 0 < ratio[0] <= ratio[1], "ratio", ratio, "two ratios, 0 < low <= high")
        self.scale = scale
        self.ratio = ratio

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        return random_crop_box(width, height, self.scale, self.ratio, rng)

    def smallest_side(self, width: int, height: int) -> float:
        # Boxes get wider with their aspect and lower, also where the image bounds their area.
        narrowest, widest = self.ratio
        area = width * height
        least_width = math.sqrt(area * self._least_share(width, height, narrowest)) * math.sqrt(narrowest)
        least_height = math.sqrt(area * self._least_share(width, height, widest)) / math.sqrt(widest)
        return max(1, int(min(least_width, least_height)))

    def _least_share(self, width: int, height: int, aspect: float) -> float:
        return min(self.scale[0], height / width * aspect, width / height / aspect)

    def cut(self, image: Image.Image, box: Box) -> Image.Image:
        left, top, right, bottom = whole_pixels(box)
        crop = image.crop((left, top, right, bottom))
        return super().cut(crop, (box[0] - left, box[1] - top, box[2] - left, box[3] - top))


class Resize(CropResize):
    """The whole image as a square."""

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        return 0, 0, width, height


class ResizeCentreCrop(CropResize):
    """Short side to ``resize_size``, then the central square of ``size``.

    Only the pixels of the crop are computed, so a very long and thin image costs no more than a square one.
    """

    def __init__(self, size: int, resize_size: int, interpolation: str = "linear"):
        super().__init__(size, interpolation)
        require(resize_size >= size, "resize_size", resize_size, f"at least the size of the crop, {size}")
        self.resize_size = resize_size

    def box(self, width: int, height: int, rng: np.random.Generator) -> Box:
        resized_width, resized_height = resize_short_size(width, height, self.resize_size)
        left, top, right, bottom = centre_crop_box(resized_width, resized_height, self.size)
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


def resize_short_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height once the short side is ``size``, rounded as Python rounds."""
    scale = size / min(width, height)
    return round(width * scale), round(height * scale)


def centre_crop_box(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the central square."""
    left, top = (width - size) // 2, (height - size) // 2
    return left, top, left + size, top + size


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
