"""Image transforms: from an RGB image of any size to the uint8 array a network is shown.

Each is a small class called with an image and a random generator. Those of training come in the
original's order, draw in its order and use its formulas (its ``reader.py``); resampling is Pillow's,
which averages when it shrinks, while the original's OpenCV did not.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageEnhance

from imgcls.data import choices
from imgcls.data.pictures.autoaugment import AutoAugment
from imgcls.data.pictures.decode import Box, ImageFile
from imgcls.data.pictures.randaugment import RandAugment
from imgcls.errors import UserError, close_matches

INTERPOLATIONS = {name: Image.Resampling[filter] for name, filter in choices.INTERPOLATIONS.items()}


Step = Callable[[Image.Image, np.random.Generator], Image.Image]
"""One transform of an RGB image; all that is random in it comes from the generator."""


class Transform:
    """Steps one after the other; the result as a contiguous uint8 array ``[H, W, 3]``."""

    def __init__(self, transforms: list):
        self.transforms = transforms

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            image = transform(image, rng)
        return np.asarray(image)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """``(height, width, 3)`` of every result; ``None`` where nothing is resized."""
        size = next((transform.size for transform in self.transforms if isinstance(transform, CropResize)), None)
        return size and (size, size, 3)

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        """As of the decoded photo, but a crop that comes first has it decoded no larger than it needs."""
        first, *others = self.transforms
        image = first.of_file(photo, rng) if isinstance(first, CropResize) else first(photo.decode(), rng)
        return Transform(others)(image, rng)

    def decode(self, photo: ImageFile) -> Image.Image:
        """The photo as small as any crop of it allows; one image to crop again and again."""
        first = self.transforms[0]
        if not isinstance(first, CropResize):
            return photo.decode()
        side = first.smallest_side(*photo.size)
        return photo.decode_shrunk(side, first.size)[0]


def train_transform(
    size: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
    interpolation: str = "linear",
    rotation: int = 0,
    color_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    autoaugment: str | None = None,
    randaugment: tuple[int, float] = (0, 0.0),
    extra: Sequence[Step] = (),
) -> Transform:
    """Rotate, crop at random, resize, jitter colours, flip, augment; those that are off draw no numbers.

    Args:
        size: side of the result in pixels.
        scale: smallest and largest area of the crop, as a share of the image.
        ratio: smallest and largest width over height of the crop.
        flip: probability of a horizontal flip.
        interpolation: a key of ``INTERPOLATIONS``.
        rotation: largest angle in degrees, either way; the original's is 10, never enabled.
        color_jitter: strength of brightness, contrast, saturation (factor ``1 ± strength``) and hue
            (shift of at most that share of the colour circle).
        autoaugment: name of an ``AutoAugment`` policy.
        randaugment: number of ``RandAugment`` layers, 0 for none, and their magnitude.
        extra: more steps after these; each leaves the image's size as it is.

    Raises:
        UserError: a value outside its range.
    """
    transforms = [RandomCropResize(size, scale, ratio, interpolation)]
    if rotation:
        transforms.insert(0, RandomRotation(rotation))
    if any(color_jitter):
        transforms.append(ColorJitter(*color_jitter))
    if flip:
        transforms.append(HorizontalFlip(flip))
    if autoaugment:
        transforms.append(AutoAugment(autoaugment))
    if randaugment[0]:
        transforms.append(RandAugment(*randaugment))
    return Transform([*transforms, *extra])


def eval_transform(size: int, resize_size: int, interpolation: str = "linear", crop: bool = True) -> Transform:
    """Resize the short side and cut out the centre; or, without ``crop``, squeeze the whole image.

    Args:
        size: side of the result in pixels.
        resize_size: length of the short side before the crop.
        crop: ``False`` resizes the whole image to a square, whatever its shape, and ignores ``resize_size``.

    Raises:
        UserError: a value outside its range.
    """
    if crop:
        return Transform([ResizeCentreCrop(size, resize_size, interpolation)])
    return Transform([Resize(size, interpolation)])


class RandomRotation:
    """Rotation about the centre by whole degrees, uniform in ``[-degrees, degrees]``; the corners turn black."""

    def __init__(self, degrees: int):
        _require(0 < degrees <= 180, "rotation", degrees, "between 0 and 180 degrees")
        self.degrees = degrees

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        angle = int(rng.integers(-self.degrees, self.degrees, endpoint=True))
        return image.rotate(angle, Image.Resampling.BILINEAR)


class CropResize:
    """A box of the image, resized to a square of ``size``; a subclass says which box."""

    crop_first = False
    """Whether the box is cut out before it is resized, so that what lies around it has no influence."""

    def __init__(self, size: int, interpolation: str = "linear"):
        _require_size(size)
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
        _require(len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1, "scale", scale, "two shares, 0 < low <= high <= 1")
        _require(len(ratio) == 2 and 0 < ratio[0] <= ratio[1], "ratio", ratio, "two ratios, 0 < low <= high")
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
        left, top = math.floor(box[0]), math.floor(box[1])
        crop = image.crop((left, top, math.ceil(box[2]), math.ceil(box[3])))
        return super().cut(crop, (box[0] - left, box[1] - top, box[2] - left, box[3] - top))


class ColorJitter:
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0):
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            _require(value >= 0, f"color_jitter ({name})", value, "0 or more")
        _require(0 <= hue <= 0.5, "color_jitter (hue)", hue, "between 0 and 0.5")
        strengths = {
            ImageEnhance.Brightness: brightness,
            ImageEnhance.Contrast: contrast,
            ImageEnhance.Color: saturation,
        }
        self.enhancers = [(enhancer, strength) for enhancer, strength in strengths.items() if strength]
        self.hue = hue

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for step in rng.permutation(len(self.enhancers) + bool(self.hue)):
            if step == len(self.enhancers):
                image = shift_hue(image, rng.uniform(-self.hue, self.hue))
            else:
                enhancer, strength = self.enhancers[step]
                image = enhancer(image).enhance(rng.uniform(max(0.0, 1 - strength), 1 + strength))
        return image


class HorizontalFlip:
    """Left and right exchanged, with a probability."""

    def __init__(self, probability: float):
        _require(0 <= probability <= 1, "flip", probability, "a probability")
        self.probability = probability

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        if rng.random() < self.probability:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


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
        _require(resize_size >= size, "resize_size", resize_size, f"at least the size of the crop, {size}")
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


def resize_short_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height once the short side is ``size``, rounded as Python rounds."""
    scale = size / min(width, height)
    return round(width * scale), round(height * scale)


def centre_crop_box(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the central square."""
    left, top = (width - size) // 2, (height - size) // 2
    return left, top, left + size, top + size


def shift_hue(image: Image.Image, share: float) -> Image.Image:
    """Turn the colour circle by ``share`` of a full turn."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + round(share * 256)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")


def _resampling(interpolation: str) -> Image.Resampling:
    if interpolation not in INTERPOLATIONS:
        raise UserError(
            f"There is no interpolation '{interpolation}'.{close_matches(str(interpolation), INTERPOLATIONS)} "
            f"It can be {', '.join(INTERPOLATIONS)}."
        )
    return INTERPOLATIONS[interpolation]


def _require_size(size: int) -> None:
    _require(size >= 1, "size", size, "1 or more pixels")


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise UserError(f"The transform's {name} is {value}; it must be {expected}.")
