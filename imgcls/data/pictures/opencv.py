"""The boxes of ``crops`` resized by OpenCV, as the original did: shrinking averages nothing but with ``area``.

In evaluation the results are to the bit those of the original's reader: the whole image is decoded and
resized, with rounded sides, and the centre cut out of it. In training a crop is cut out, then resized; a
JPEG much larger than the crop needs is shrunk by its decoder first, which the original did not do.

Whole, plain JPEGs are decoded by OpenCV, which takes half the time and gives Pillow's pixels. Everything else is
left to Pillow: it tells a file that is cut off, where OpenCV would fill it up with grey.
"""

from functools import cache
from importlib.util import find_spec
from types import ModuleType

import numpy as np
from PIL import Image

from imgcls.data.choices import OPENCV_INTERPOLATIONS
from imgcls.data.pictures.crops import (
    CropResize,
    RandomCropResize,
    Resize,
    ResizeCentreCrop,
    centre_crop_box,
    resize_short_size,
    whole_pixels,
)
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, Box, ImageFile, largest_reduction
from imgcls.errors import UserError

MISSING = 'transform.resampling=opencv needs the package opencv-python-headless: pip install "imgcls[opencv]"'


def is_installed() -> bool:
    """Whether OpenCV is there."""
    return find_spec("cv2") is not None


class OpenCVCrop(CropResize):
    """A box resized by OpenCV; results are uint8 ``[size, size, 3]``.

    Raises:
        UserError: OpenCV is not installed.
    """

    def __init__(self, size: int, interpolation: str):
        super().__init__(size, interpolation)
        self.flag = getattr(_cv2(), OPENCV_INTERPOLATIONS[interpolation])

    def resized(self, pixels: np.ndarray, width: int, height: int) -> np.ndarray:
        return _cv2().resize(pixels, (width, height), interpolation=self.flag)


class OpenCVRandomCropResize(RandomCropResize, OpenCVCrop):
    """``RandomCropResize``, drawn alike."""

    def cut(self, image: Image.Image | np.ndarray, box: Box) -> np.ndarray:
        left, top, right, bottom = whole_pixels(box)
        is_array = isinstance(image, np.ndarray)
        crop = image[top:bottom, left:right] if is_array else np.asarray(image.crop((left, top, right, bottom)))
        return self.resized(crop, self.size, self.size)

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        box = self.box(*photo.size, rng)
        shrinks = largest_reduction(min(box[2] - box[0], box[3] - box[1]), self.size) > 1
        if not shrinks and (pixels := _decoded(photo)) is not None:
            return _exchanged(self.cut(pixels, box))
        return self.cut(*photo.decode_around(box, self.size, self.crop_first))


class OfTheWhole(OpenCVCrop):
    """What lies around the box takes part, so the photo is decoded as it is."""

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        pixels, box = _decoded(photo), self.box(*photo.size, rng)
        return self.cut(photo.decode(), box) if pixels is None else _exchanged(self.cut(pixels, box))

    def decode(self, photo: ImageFile) -> Image.Image:
        return photo.decode()


class OpenCVResize(Resize, OfTheWhole):
    """The whole image as a square."""

    def cut(self, image: Image.Image | np.ndarray, box: Box) -> np.ndarray:
        return self.resized(np.asarray(image), self.size, self.size)


class OpenCVResizeCentreCrop(ResizeCentreCrop, OfTheWhole):
    """Short side to ``resize_size`` with all of the image, then the central square of ``size``."""

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        self._resized_size(*photo.size, photo.name)  # a photo that is refused is not decoded
        return super().of_file(photo, rng)

    def cut(self, image: Image.Image | np.ndarray, box: Box) -> np.ndarray:
        pixels = np.asarray(image)
        width, height = self._resized_size(pixels.shape[1], pixels.shape[0], "image")
        left, top, right, bottom = centre_crop_box(width, height, self.size)
        return self.resized(pixels, width, height)[top:bottom, left:right]

    def _resized_size(self, width: int, height: int, name: str) -> tuple[int, int]:
        """Width and height of the resized image; bounded, since all of it is computed.

        Raises:
            BadImage: a thread of pixels would become an image of hundreds of millions.
        """
        sides = resize_short_size(width, height, self.resize_size)
        if sides[0] * sides[1] > MAX_PIXELS:
            raise BadImage(
                f"The image {name} of {width} x {height} pixels would have {sides[0]} x {sides[1]}, more than "
                f"{MAX_PIXELS:,}, once its short side is {self.resize_size}: transform.resampling=opencv resizes all "
                "of an image. Cut it, or use transform.resampling=pillow."
            )
        return sides


def flipped(image: np.ndarray) -> np.ndarray:
    """Left and right exchanged."""
    return _cv2().flip(image, 1)


def _decoded(photo: ImageFile) -> np.ndarray | None:
    """The pixels of ``photo.decode()`` in half the time, with blue first; ``None`` where they are better left to it."""
    cv2, content = _cv2(), photo.plain_jpeg()
    if content is None:
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    width, height = photo.size
    return pixels if pixels is not None and pixels.shape == (height, width, 3) else None


def _exchanged(pixels: np.ndarray) -> np.ndarray:
    """Red first instead of blue."""
    return _cv2().cvtColor(pixels, _cv2().COLOR_BGR2RGB)


@cache
def _cv2() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise UserError(f"{MISSING} ({error})") from error
    cv2.setNumThreads(0)  # workers are the parallelism, and threads that a fork leaves behind would be waited for
    return cv2
