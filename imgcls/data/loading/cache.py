"""Decoded images held in memory, for data sets that fit."""

import logging
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable
from imgcls.data.pictures.channels import RGB, ChannelImage, Channels
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, ImageFile, open_image
from imgcls.data.pictures.in_time import in_time
from imgcls.errors import UserError
from imgcls.machine.pool import TimeLimit
from imgcls.machine.progress import progress_bar

log = logging.getLogger("imgcls")


class RamCache:
    """The first images of a data set, as many as the budget has room for, decoded once.

    They lie in one block of memory, which data workers share with the process that starts them
    because nobody writes to it any more. Which ones are held depends on the images and the budget
    alone. Files that cannot be read are left to whoever asks for them.

    Args:
        decode: from an open photo to the image to hold.
        budget_mb: size of the block in MB.
        max_decode_seconds: of processor time for one image; one that takes longer counts as one that cannot be read.
        channels: of the images; each value takes four bytes unless they are RGB of 8 bits.

    Raises:
        UserError: the machine has no such memory.
    """

    def __init__(
        self,
        samples: Samples,
        decode: Callable[[ImageFile], Image.Image | ChannelImage],
        budget_mb: float,
        max_pixels: int = MAX_PIXELS,
        max_decode_seconds: float | None = None,
        channels: Channels = RGB,
    ):
        self.channels = channels
        self.dtype = np.dtype(np.uint8 if channels.are_usual else np.float32)
        try:
            self.block = np.empty(int(budget_mb * 1e6), np.uint8)  # takes memory only where it is written to
        except MemoryError as error:
            raise UserError(f"data.cache_mb={budget_mb:g}: this machine has no such memory.") from error
        self.starts = np.full(len(samples), -1, np.int64)
        self.shapes = np.zeros((len(samples), 3), np.int32)
        self._fill(samples, decode, max_pixels, TimeLimit(max_decode_seconds, 1))

    def get(self, index: int) -> Image.Image | ChannelImage | None:
        """A held image, or ``None``."""
        if self.starts[index] < 0:
            return None
        pixels = self._view(self.starts[index], self.shapes[index])
        return Image.fromarray(pixels) if self.channels.are_usual else ChannelImage.of_array(pixels)

    def __len__(self) -> int:
        """Number of images held."""
        return int(np.count_nonzero(self.starts >= 0))

    def _fill(
        self,
        samples: Samples,
        decode: Callable[[ImageFile], Image.Image | ChannelImage],
        max_pixels: int,
        limit: TimeLimit,
    ) -> None:
        def read(index: int, name: str) -> np.ndarray:
            with open_image(samples.source(index), name, max_pixels, self.channels) as photo:
                return np.asarray(decode(photo))

        end = 0
        for index in progress_bar(range(len(samples)), desc="decoding", unit=" pictures"):
            name = printable(samples.path(index))
            try:
                pixels = in_time(limit, index, name, partial(read, index, name))
            except BadImage:
                continue
            if end + pixels.nbytes > len(self.block):
                break
            self.starts[index], self.shapes[index] = end, pixels.shape
            self._view(end, pixels.shape)[:] = pixels
            end += pixels.nbytes
        log.info("%s of %s images are held in memory, %.0f MB", f"{len(self):,}", f"{len(samples):,}", end / 1e6)

    def _view(self, start: int, shape: np.ndarray | tuple[int, ...]) -> np.ndarray:
        end = start + int(np.prod(shape)) * self.dtype.itemsize
        return self.block[start:end].view(self.dtype).reshape(shape)
