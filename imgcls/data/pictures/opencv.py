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
    Place,
    RandomCropResize,
    Resize,
    ResizeCentreCrop,
    centre_crop_box,
    corner_boxes,
    size_of,
    whole_pixels,
)
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, Box, ImageFile, largest_reduction
from imgcls.data.pictures.fits import Letterbox, RandomLetterbox, RandomStretch
from imgcls.data.pictures.size import Size, sides
from imgcls.data.pictures.whole import Whole
from imgcls.errors import UserError

MISSING = 'transform.resampling=opencv needs the package opencv-python-headless: pip install "imgcls[opencv]"'


def is_installed() -> bool:
    """Whether OpenCV is there."""
    return find_spec("cv2") is not None


class OpenCVCrop(CropResize):
    """A box resized by OpenCV; results are uint8 ``[height, width, 3]``.

    Raises:
        UserError: OpenCV is not installed.
    """

    def __init__(self, size: Size, interpolation: str):
        super().__init__(size, interpolation)
        self.flag = getattr(_cv2(), OPENCV_INTERPOLATIONS[interpolation])

    def resized(self, pixels: np.ndarray, width: int, height: int) -> np.ndarray:
        return _cv2().resize(pixels, (width, height), interpolation=self.flag)

    def on_canvas(self, part: np.ndarray, place: Place) -> np.ndarray:
        if place == (0, 0, self.width, self.height):
            return part
        canvas = np.full((self.height, self.width, 3), self.fill, np.uint8)
        canvas[place[1] : place[3], place[0] : place[2]] = part
        return canvas


class OpenCVRandomCropResize(RandomCropResize, OpenCVCrop):
    """``RandomCropResize``, drawn alike."""

    def cut(self, image: Image.Image | np.ndarray, box: Box, size: Size | None = None) -> np.ndarray:
        left, top, right, bottom = whole_pixels(box)
        is_array = isinstance(image, np.ndarray)
        crop = image[top:bottom, left:right] if is_array else np.asarray(image.crop((left, top, right, bottom)))
        height, width = sides(size or self.size)
        return self.resized(crop, width, height)

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        box, place = self.plan(*photo.size, rng)
        size = size_of(place)
        shrinks = largest_reduction((box[2] - box[0], box[3] - box[1]), size) > 1
        if not shrinks and (pixels := _decoded(photo)) is not None:
            return self.on_canvas(_exchanged(self.cut(pixels, box, size)), place)
        return self.placed(*photo.decode_around(box, size, self.crop_first), place)


class OpenCVRandomLetterbox(RandomLetterbox, OpenCVRandomCropResize):
    """``RandomLetterbox``, drawn alike."""


class OpenCVRandomStretch(RandomStretch, OpenCVRandomCropResize):
    """``RandomStretch``, drawn alike."""


class OfTheWhole(OpenCVCrop):
    """What lies around the box takes part, so the photo is decoded as it is."""

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        pixels, (box, place) = _decoded(photo), self.plan(*photo.size, rng)
        if pixels is None:
            return self.placed(photo.decode(), box, place)
        return self.on_canvas(_exchanged(self.cut(pixels, box, size_of(place))), place)

    def decode(self, photo: ImageFile) -> Image.Image:
        return photo.decode()


class OpenCVResize(Resize, OfTheWhole):
    """The whole image, whatever its shape."""

    def cut(self, image: Image.Image | np.ndarray, box: Box, size: Size | None = None) -> np.ndarray:
        height, width = sides(size or self.size)
        return self.resized(np.asarray(image), width, height)


class OpenCVLetterbox(Letterbox, OpenCVResize):
    """The whole image in its own proportions, with bars."""


class OpenCVResizeCentreCrop(ResizeCentreCrop, OfTheWhole):
    """All of the image resized, then the central ``size``."""

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        self._resized_size(*photo.size, photo.name)  # a photo that is refused is not decoded
        return super().of_file(photo, rng)

    def cut(self, image: Image.Image | np.ndarray, box: Box, size: Size | None = None) -> np.ndarray:
        pixels = self.whole(image)
        left, top, right, bottom = centre_crop_box(pixels.shape[1], pixels.shape[0], self.size)
        return pixels[top:bottom, left:right]

    def whole(self, image: Image.Image | np.ndarray) -> np.ndarray:
        """All of the image, resized."""
        pixels = np.asarray(image)
        return self.resized(pixels, *self._resized_size(pixels.shape[1], pixels.shape[0], "image"))

    def _resized_size(self, width: int, height: int, name: str) -> tuple[int, int]:
        """Width and height of the resized image; bounded, since all of it is computed.

        Raises:
            BadImage: a thread of pixels would become an image of hundreds of millions.
        """
        resized = self.resized_size(width, height)
        if resized[0] * resized[1] > MAX_PIXELS:
            raise BadImage(
                f"The image {name} of {width} x {height} pixels would have {resized[0]} x {resized[1]}, more than "
                f"{MAX_PIXELS:,}, once its short side is {self.resize_size}: transform.resampling=opencv resizes all "
                "of an image. Cut it, or use transform.resampling=pillow."
            )
        return resized


class OpenCVFiveCrops(OpenCVResizeCentreCrop):
    """The centre and the four corners of the resized image, one below the other: ``[5 * height, width, 3]``."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return 5 * self.height, self.width, 3

    def cut(self, image: Image.Image | np.ndarray, box: Box, size: Size | None = None) -> np.ndarray:
        pixels = self.whole(image)
        height, width = pixels.shape[:2]
        boxes = [centre_crop_box(width, height, self.size), *corner_boxes(width, height, self.size)]
        return np.concatenate([pixels[top:bottom, left:right] for left, top, right, bottom in boxes])


class OpenCVWhole(Whole, OpenCVCrop):
    """All of the image, packed."""

    def cut(self, image: Image.Image | np.ndarray, box: Box, size: Size | None = None) -> np.ndarray:
        height, width = sides(size or self.size)
        return self.resized(np.asarray(image), width, height)

    def of_file(self, photo: ImageFile, rng: np.random.Generator) -> np.ndarray:
        pixels = _decoded(photo)
        return self(photo.decode() if pixels is None else Image.fromarray(_exchanged(pixels)), rng)


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
