"""Data sets as Paddle knows them: one sample for a key of epoch and index."""

import os

import numpy as np
import paddle

from imgcls.data.formats.samples import Samples
from imgcls.data.loading.cache import RamCache
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, open_image, to_upright
from imgcls.data.pictures.in_time import in_time
from imgcls.data.pictures.transforms import Transform
from imgcls.errors import UserError
from imgcls.machine.pool import TimeLimit

Sample = tuple[np.ndarray, np.int64 | np.ndarray, np.int64]
"""Image uint8 ``[H, W, 3]``, label (of several a sample float32 ``[num_classes]``), index."""


class ClassificationDataset(paddle.io.Dataset):
    """Labelled images; a subclass says what the image of an epoch and index is.

    A key is ``(epoch, index)``, as ``EpochSampler`` yields it, or an index alone for epoch 0. The
    sample is ``(image, label, index)``: uint8 ``[H, W, 3]``, int64 or tags as float32 ``[num_classes]``,
    int64. A file that cannot be read raises ``BadImage``.
    """

    image_shape: tuple[int, int, int] | None = None
    """``(height, width, channels)`` of every image; a subclass that says so has its batches loaded faster."""

    image_dtype: type = np.uint8
    """Of every image; of more than 8 bits float32 from 0 to 255."""

    limit: TimeLimit | None = None
    """For each image."""

    def __init__(self, samples: Samples):
        super().__init__()
        self.samples = samples

    def image(self, epoch: int, index: int) -> np.ndarray:
        """The image as uint8 ``[H, W, 3]``; the same whenever and in whatever process it is asked for."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        return self._image_in_time(epoch, index), self.samples.target(index), np.int64(index)

    def _image_in_time(self, epoch: int, index: int) -> np.ndarray:
        name = printable(self.samples.path(index)) if self.limit else ""
        return in_time(self.limit, index, name, lambda: self.image(epoch, index))


class ImageDataset(ClassificationDataset):
    """Image files under a transform.

    Randomness of the transform is a function of ``seed``, epoch and index alone, so the number of
    workers or an interruption changes nothing.

    Args:
        transform: takes an RGB image, or one of its other ``channels``, and a random generator, returns an array
            ``[H, W, channels]``.
        max_pixels: larger images are refused.
        cache: decoded images that need not be read again.
    """

    def __init__(
        self,
        samples: Samples,
        transform: Transform,
        seed: int = 0,
        max_pixels: int = MAX_PIXELS,
        cache: RamCache | None = None,
    ):
        super().__init__(samples)
        self.transform = transform
        self.image_shape = transform.image_shape
        self.image_dtype = transform.channels.dtype
        self.seed = seed
        self.max_pixels = max_pixels
        self.cache = cache

    def image(self, epoch: int, index: int) -> np.ndarray:
        image = self._image(epoch, index)
        if self.image_shape and image.shape != self.image_shape:
            raise UserError(
                f"A step of transform.extra has changed an image's shape from {list(self.image_shape)} to "
                f"{list(image.shape)}. It must stay."
            )
        return image

    def _image(self, epoch: int, index: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch, index])
        held = self.cache.get(index) if self.cache else None
        if held is not None:
            return self.transform(held, rng)
        name = printable(self.samples.path(index))
        try:
            source = self.samples.source(index)
            if not isinstance(source, str | os.PathLike | bytes):  # of somebody's own data set
                return self.transform(to_upright(source, self.transform.channels), rng)
            with open_image(source, name, self.max_pixels, self.transform.channels) as photo:
                return self.transform.of_file(photo, rng)
        except BadImage as error:
            if not self.samples.is_there():  # all files are gone, and none is bad
                root = printable(self.samples.root)
                raise UserError(
                    f"The data directory {root} is not there any more. Is its disk mounted? data.root says where the "
                    "images are."
                ) from error
            raise
