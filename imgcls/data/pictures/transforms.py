"""Image transforms: from an RGB image of any size to the uint8 array a network is shown, or of other ``channels``.

Each is a small class called with an image and a random generator. Those of training come in the
original's order, draw in its order and use its formulas (its ``reader.py``); boxes of ``crops`` are
resized by Pillow, those of ``opencv`` as the original did.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageEnhance

from imgcls.data.pictures.autoaugment import AutoAugment
from imgcls.data.pictures.channels import RGB, Channels
from imgcls.data.pictures.crops import CropResize, RandomCropResize, Resize, ResizeCentreCrop, require
from imgcls.data.pictures.decode import ImageFile
from imgcls.data.pictures.fits import Colour, FiveCrops, Letterbox, RandomLetterbox, RandomStretch
from imgcls.data.pictures.opencv import (
    OpenCVCrop,
    OpenCVFiveCrops,
    OpenCVLetterbox,
    OpenCVRandomCropResize,
    OpenCVRandomLetterbox,
    OpenCVRandomStretch,
    OpenCVResize,
    OpenCVResizeCentreCrop,
    OpenCVWhole,
    flipped,
)
from imgcls.data.pictures.randaugment import RandAugment
from imgcls.data.pictures.size import Size
from imgcls.data.pictures.whole import Whole

Step = Callable[[Image.Image, np.random.Generator], Image.Image]
"""One transform of an RGB image; all that is random in it comes from the generator."""


class Transform:
    """Steps one after the other; the result as a contiguous uint8 array ``[H, W, 3]``.

    Args:
        channels: of the images; of others than RGB of 8 bits arrays are ``[H, W, C]`` of their ``dtype``.
    """

    def __init__(self, transforms: list, channels: Channels = RGB):
        self.transforms = transforms
        self.channels = channels

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            if isinstance(image, np.ndarray) and not isinstance(transform, HorizontalFlip):
                image = Image.fromarray(image)
            image = transform(image, rng)
        if self.channels.are_usual:
            return np.ascontiguousarray(image)
        values = np.asarray(image, np.float32)
        return np.ascontiguousarray(values if self.channels.depth > 8 else np.round(values), self.channels.dtype)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """``(height, width, channels)`` of every result; ``None`` where nothing is resized."""
        shape = next((one.image_shape for one in self.transforms if isinstance(one, CropResize)), None)
        return None if shape is None else (*shape[:2], self.channels.count)

    @property
    def resampling(self) -> str:
        """Whose way of resizing it is: ``pillow`` or ``opencv``."""
        return "opencv" if any(isinstance(transform, OpenCVCrop) for transform in self.transforms) else "pillow"

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        """As of the decoded photo, but a crop that comes first has it decoded no larger than it needs."""
        first, *others = self.transforms
        image = first.of_file(photo, rng) if isinstance(first, CropResize) else first(photo.decode(), rng)
        return Transform(others, self.channels)(image, rng)

    def decode(self, photo: ImageFile) -> Image.Image:
        """The photo as small as any crop of it allows; one image to crop again and again."""
        first = self.transforms[0]
        return first.decode(photo) if isinstance(first, CropResize) else photo.decode()


RANDOM_CROPS = {
    ("crop", "pillow"): RandomCropResize,
    ("crop", "opencv"): OpenCVRandomCropResize,
    ("stretch", "pillow"): RandomStretch,
    ("stretch", "opencv"): OpenCVRandomStretch,
    ("letterbox", "pillow"): RandomLetterbox,
    ("letterbox", "opencv"): OpenCVRandomLetterbox,
}


def train_transform(
    size: Size,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
    interpolation: str = "linear",
    resampling: str = "pillow",
    rotation: int = 0,
    color_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    autoaugment: str | None = None,
    randaugment: tuple[int, float] = (0, 0.0),
    extra: Sequence[Step] = (),
    fit: str = "crop",
    fill: Colour = (0, 0, 0),
    channels: Channels = RGB,
) -> Transform:
    """Rotate, crop at random, resize, jitter colours, flip, augment; those that are off draw no numbers.

    Args:
        size: of the result in pixels.
        scale: smallest and largest area of the crop, as a share of the image.
        ratio: smallest and largest width over height of the crop, as multiples of those of ``size``.
        flip: probability of a horizontal flip.
        interpolation: a key of ``INTERPOLATIONS``.
        resampling: whose: ``pillow`` or ``opencv``.
        rotation: largest angle in degrees, either way; the original's is 10, never enabled.
        color_jitter: strength of brightness, contrast, saturation (factor ``1 ± strength``) and hue
            (shift of at most that share of the colour circle).
        autoaugment: name of an ``AutoAugment`` policy.
        randaugment: number of ``RandAugment`` layers, 0 for none, and their magnitude.
        extra: more steps after these; each leaves the image's size as it is.
        fit: one of ``FITS``: what the image is made before it is cropped.
        fill: colour of the bars of a letterboxed image.
        channels: of the images. Only what does not change colours is for others than RGB of 8 bits.

    Raises:
        UserError: a value outside its range.
    """
    options = {"fill": fill} if fit == "letterbox" else {}
    transforms = [RANDOM_CROPS[fit, resampling](size, scale, ratio, interpolation, **options)]
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
    return Transform([*transforms, *extra], channels)


def eval_transform(
    size: Size,
    resize_size: int,
    interpolation: str = "linear",
    crop: bool = True,
    resampling: str = "pillow",
    fit: str = "crop",
    fill: Colour = (0, 0, 0),
    five: bool = False,
    channels: Channels = RGB,
    whole: bool = False,
) -> Transform:
    """Resize and cut out the centre; or show the whole image, letterboxed or stretched.

    Args:
        size: of the result in pixels.
        resize_size: length of the short side before the crop, see ``ResizeCentreCrop``.
        crop: ``False`` is ``fit="stretch"``, which ignores ``resize_size`` as ``letterbox`` does.
        resampling: whose: ``pillow`` or ``opencv``.
        fit: one of ``FITS``.
        fill: colour of the bars of a letterboxed image.
        five: the four corners as well, one below the other, see ``FiveCrops``; for ``fit="crop"``.
        channels: of the images; others than RGB of 8 bits are resized by Pillow.
        whole: not cropped, in its own proportions, see ``Whole``; for ``fit="crop"``.

    Raises:
        UserError: a value outside its range.
    """
    opencv = resampling == "opencv"
    if fit == "letterbox":
        step = (OpenCVLetterbox if opencv else Letterbox)(size, interpolation, fill)
    elif fit == "stretch" or not crop:
        step = (OpenCVResize if opencv else Resize)(size, interpolation)
    elif whole:
        step = (OpenCVWhole if opencv else Whole)(size, resize_size, interpolation)
    elif five:
        step = (OpenCVFiveCrops if opencv else FiveCrops)(size, resize_size, interpolation)
    else:
        step = (OpenCVResizeCentreCrop if opencv else ResizeCentreCrop)(size, resize_size, interpolation)
    return Transform([step], channels)


class RandomRotation:
    """Rotation about the centre by whole degrees, uniform in ``[-degrees, degrees]``; the corners turn black."""

    def __init__(self, degrees: int):
        require(0 < degrees <= 180, "rotation", degrees, "between 0 and 180 degrees")
        self.degrees = degrees

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        angle = int(rng.integers(-self.degrees, self.degrees, endpoint=True))
        return image.rotate(angle, Image.Resampling.BILINEAR)


class ColorJitter:
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0):
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            require(value >= 0, f"color_jitter ({name})", value, "0 or more")
        require(0 <= hue <= 0.5, "color_jitter (hue)", hue, "between 0 and 0.5")
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
        require(0 <= probability <= 1, "flip", probability, "a probability")
        self.probability = probability

    def __call__(self, image: Image.Image | np.ndarray, rng: np.random.Generator) -> Image.Image | np.ndarray:
        if rng.random() >= self.probability:
            return image
        if isinstance(image, np.ndarray):
            return flipped(image)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def shift_hue(image: Image.Image, share: float) -> Image.Image:
    """Turn the colour circle by ``share`` of a full turn."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + round(share * 256)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")
