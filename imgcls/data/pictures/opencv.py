"""The boxes of ``crops`` resized by OpenCV, as the original did: shrinking averages nothing but with ``area``.

In evaluation the results are to the bit those of the original's reader: the whole image is decoded and
resized, with rounded sides, and the centre cut out of it. In training a crop is cut out, then resized; a
JPEG much larger than the crop needs is shrunk by its decoder first, which the original did not do.

OpenCV resizes only. What decodes is Pillow, which tells a file that is cut off, refuses bombs and gives
the same pixels of a JPEG.
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
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, Box, ImageFile
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


class OpenCVRandomCropResize(RandomCropResize, OpenCVCrop):
    """``RandomCropResize``, drawn alike."""

    def cut(self, image: Image.Image, box: Box) -> np.ndarray:
        return _resized(image.crop(whole_pixels(box)), self.size, self.size, self.flag)


class OfTheWhole(OpenCVCrop):
    """What lies around the box takes part, so the photo is decoded as it is."""

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        return self(photo.decode(), rng)

    def decode(self, photo: ImageFile) -> Image.Image:
        return photo.decode()


class OpenCVResize(Resize, OfTheWhole):
    """The whole image as a square."""

    def cut(self, image: Image.Image, box: Box) -> np.ndarray:
        return _resized(image, self.size, self.size, self.flag)


class OpenCVResizeCentreCrop(ResizeCentreCrop, OfTheWhole):
    """Short side to ``resize_size`` with all of the image, then the central square of ``size``."""

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        self._resized_size(*photo.size, photo.name)  # a photo that is refused is not decoded
        return super().of_file(photo, rng)

    def cut(self, image: Image.Image, box: Box) -> np.ndarray:
        width, height = self._resized_size(*image.size, "image")
        left, top, right, bottom = centre_crop_box(width, height, self.size)
        return _resized(image, width, height, self.flag)[top:bottom, left:right]

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


def _resized(image: Image.Image, width: int, height: int, flag: int) -> np.ndarray:
    return _cv2().resize(np.asarray(image), (width, height), interpolation=flag)


@cache
def _cv2() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise UserError(f"{MISSING} ({error})") from error
    cv2.setNumThreads(0)  # workers are the parallelism, and threads that a fork leaves behind would be waited for
    return cv2
