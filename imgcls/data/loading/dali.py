"""Batches decoded, cropped and resized by NVIDIA DALI: the original's standard pipeline, on a GPU or a CPU.

Python reads the files and decides: which samples in which order (the sampler), which box of each
image and whether it is mirrored (the transform, seeded as for Pillow). DALI does the pixels. So the
batches are those of ``imgcls.data.loading.loader`` but for rounding, and can start at any batch of any epoch.
"""

import io
import multiprocessing
from collections import deque
from collections.abc import Iterator
from importlib.util import find_spec
from multiprocessing.pool import ThreadPool
from typing import NamedTuple

import numpy as np
import paddle
from PIL import ExifTags, Image

from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import Batch
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.paths import printable
from imgcls.data.pictures.crops import CropResize, RandomCropResize
from imgcls.data.pictures.decode import UPRIGHT, BadImage, Source, decode_image, open_image
from imgcls.data.pictures.fits import FiveCrops, Letterbox, RandomLetterbox
from imgcls.data.pictures.in_time import in_time
from imgcls.data.pictures.transforms import HorizontalFlip, Transform
from imgcls.data.pictures.work import check_work
from imgcls.errors import UserError
from imgcls.machine.pool import TimeLimit, in_worker
from imgcls.machine.reading import open_regular

INTERPOLATIONS = {
    Image.Resampling.NEAREST: "INTERP_NN",
    Image.Resampling.BILINEAR: "INTERP_LINEAR",
    Image.Resampling.BICUBIC: "INTERP_CUBIC",
    Image.Resampling.LANCZOS: "INTERP_LANCZOS3",
}

READ_AHEAD = 2
"""Batches of files read before the pipeline asks for them."""
PREFETCH = 2
"""Batches the pipeline works on at once."""


class DaliLoader:
    """A loader of ``[images, labels, indices]``: uint8 ``[N, H, W, 3]``, int64 ``[N]``, int64 ``[N]``.

    Iterating starts at the sampler's position. JPEGs go to DALI as they are; what it would turn out
    differently (other formats, CMYK, photos lying on their side) is decoded by Pillow first. A JPEG
    that is damaged outside the part that is wanted is not noticed.

    Args:
        dataset: its transform may crop, resize and flip.
        num_threads: that decode, and as many that read.
        timeout: seconds to wait for the files of a batch before giving up; without end when left out.
        max_decode_seconds: of processor time for one image. What may take longer is decoded by Pillow first, in a
            process that can be killed.
        device_id: of the GPU that decodes (``mixed``) and gets the batches; ``None`` for the CPU.

    Raises:
        UserError: DALI is not installed, or has no counterpart of a step of the transform. While
            iterating: a file that cannot be read or decoded (named), or the time-out.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        sampler: EpochSampler,
        num_threads: int = 1,
        timeout: float | None = None,
        device_id: int | None = None,
        max_decode_seconds: float | None = None,
    ):
        require_dali()
        self.dataset = dataset
        self.batch_sampler = sampler
        self.num_threads = max(1, num_threads)
        self.timeout = timeout
        self.device_id = device_id
        self.limit = TimeLimit(max_decode_seconds, 1)
        self.crop, self.flip = _crop_and_flip(dataset.transform)

    def __len__(self) -> int:
        """Batches left from the sampler's position on."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPool(self.num_threads) as readers:
            feed = _Feed(self._encoded_batches(readers))
            pipeline = self._pipeline(feed, self.batch_sampler.batch_size)
            try:
                for images in _outputs(pipeline):
                    batch = feed.in_flight.popleft()
                    labels = np.array([self.dataset.samples.label(image.index) for image in batch], np.int64)
                    indices = np.array([image.index for image in batch], np.int64)
                    yield [images, paddle.to_tensor(labels), paddle.to_tensor(indices)]
            except RuntimeError as error:
                self._name_the_broken(feed.in_flight, error)
            if feed.failure:
                raise feed.failure

    def _encoded_batches(self, readers: ThreadPool) -> Iterator[list["_Encoded"]]:
        reading = deque()
        for keys in self.batch_sampler:
            reading.append(readers.map_async(self._read, keys))
            if len(reading) > READ_AHEAD:
                yield self._wait(reading.popleft())
        while reading:
            yield self._wait(reading.popleft())

    def _wait(self, batch: multiprocessing.pool.MapResult) -> list["_Encoded"]:
        try:
            return batch.get(self.timeout)
        except multiprocessing.TimeoutError as error:
            raise UserError(
                f"The images of a batch could not be read within {self.timeout:.0f} s. Is the disk with them there "
                "and fast enough? More time: data.worker_timeout."
            ) from error

    def _read(self, key: tuple[int, int]) -> "_Encoded":
        epoch, index = key
        name = printable(self.dataset.samples.path(index))
        content = _content(self.dataset.samples.source(index), name)
        max_pixels = self.dataset.max_pixels
        content, (width, height) = in_time(self.limit, index, name, lambda: _for_dali(content, name, max_pixels))
        rng = np.random.default_rng([self.dataset.seed, epoch, index])
        left, top, right, bottom = self.crop.box(width, height, rng)
        window = (0, 0, width, height)
        if isinstance(self.crop, RandomCropResize):  # pixels around the others' box take part in its edges
            window = left, top, right, bottom = int(left), int(top), int(right), int(bottom)
        mirrored = self.flip is not None and rng.random() < self.flip.probability
        start, end = (right, left) if mirrored else (left, right)
        return _Encoded(
            index,
            np.frombuffer(content, np.uint8),
            window_start=(window[1], window[0]),
            window_size=(window[3] - window[1], window[2] - window[0]),
            box_start=(top - window[1], start - window[0]),
            box_end=(bottom - window[1], end - window[0]),
        )

    def _pipeline(self, feed: "_Feed", batch_size: int):
        from nvidia.dali import Pipeline, fn, types

        pipeline = Pipeline(batch_size, self.num_threads, self.device_id, prefetch_queue_depth=PREFETCH)
        with pipeline:
            content, window_start, window_size, box_start, box_end = fn.external_source(
                feed, num_outputs=5, dtype=[types.UINT8, types.INT32, types.INT32, types.FLOAT, types.FLOAT], ndim=1
            )
            window = fn.decoders.image_slice(
                content,
                window_start,
                window_size,
                axis_names="HW",
                device="cpu" if self.device_id is None else "mixed",
                jpeg_fancy_upsampling=True,  # the GPU decodes as the CPU does
            )
            # a box that ends left of its start is mirrored
            images = fn.resize(
                window,
                size=[self.crop.height, self.crop.width],
                roi_start=box_start,
                roi_end=box_end,
                interp_type=getattr(types, INTERPOLATIONS[self.crop.resampling]),
                antialias=True,
            )
            pipeline.set_outputs(images)
        pipeline.build()
        return pipeline

    def _name_the_broken(self, batches: deque[list["_Encoded"]], error: RuntimeError) -> None:
        """DALI does not say which image of which batch it failed on: try each of them alone."""
        for image in (image for batch in batches for image in batch):
            try:
                list(_outputs(self._pipeline(_Feed(iter([[image]])), batch_size=1)))
            except RuntimeError:
                name = printable(self.dataset.samples.path(image.index))
                decode_image(image.content.tobytes(), name, self.dataset.max_pixels)
                raise UserError(f"DALI cannot decode the image {name}. Pillow can: use data.backend=pillow.") from error
        raise error


class _Encoded(NamedTuple):
    """An image file, the part of it to decode, and the box of that part to resize: pairs of y and x."""

    index: int
    content: np.ndarray
    window_start: tuple[int, int]
    window_size: tuple[int, int]
    box_start: tuple[float, float]
    box_end: tuple[float, float]


class _Feed:
    """A pipeline's source, which remembers what is ``in_flight`` and the ``failure`` that ended it early.

    The pipeline asks ahead: raised at once, a failure would swallow the good batches before it.
    """

    def __init__(self, batches: Iterator[list[_Encoded]]):
        self.in_flight: deque[list[_Encoded]] = deque()
        self.failure: Exception | None = None
        self._batches = batches

    def __call__(self) -> tuple:
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise StopIteration from error
        self.in_flight.append(batch)
        _, contents, window_starts, window_sizes, box_starts, box_ends = zip(*batch, strict=True)
        windows = (np.array(values, np.int32) for values in (window_starts, window_sizes))
        boxes = (np.array(values, np.float32) for values in (box_starts, box_ends))
        return list(contents), *windows, *boxes


def require_dali() -> None:
    """Raise ``UserError`` unless NVIDIA DALI is installed."""
    if find_spec("nvidia") is None or find_spec("nvidia.dali") is None:
        raise UserError(
            'data.backend=dali needs NVIDIA DALI. Install it with: pip install "imgcls[dali]" (about 500 MB), '
            "or use data.backend=pillow."
        )


def _outputs(pipeline) -> Iterator[paddle.Tensor]:
    """The images of one batch after the other, until the pipeline's source has no more."""
    if pipeline.device_id is not None:
        from nvidia.dali.plugin.paddle import DALIGenericIterator

        for (batch,) in DALIGenericIterator(pipeline, ["images"], prepare_first_batch=False):
            yield paddle.to_tensor(batch["images"])
        return
    while True:  # the plugin's iterator knows GPUs only
        try:
            (images,) = pipeline.run()
        except StopIteration:
            return
        yield paddle.to_tensor(images.as_array())


def _crop_and_flip(transform: Transform) -> tuple[CropResize, HorizontalFlip | None]:
    crop, *others = transform.transforms
    flip = others.pop(0) if others and isinstance(others[0], HorizontalFlip) else None
    unknown = [crop] if not isinstance(crop, CropResize) else others
    if unknown:
        names = ", ".join(type(step).__name__ for step in unknown)
        raise UserError(
            f"data.backend=dali crops, resizes and flips; it has no {names}. Switch that off or use pillow."
        )
    if transform.resampling == "opencv":
        raise UserError("data.backend=dali resizes as Pillow does, not as transform.resampling=opencv. Use pillow.")
    if isinstance(crop, Letterbox | RandomLetterbox | FiveCrops):
        raise UserError("data.backend=dali crops and stretches, it has no letterbox and no views. Use pillow.")
    if crop.resampling not in INTERPOLATIONS:
        raise UserError("data.backend=dali has no interpolation 'area'. Choose another or use pillow.")
    return crop, flip


def _content(source: Source, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        with open_regular(source) as file:
            return file.read()
    except OSError as error:
        raise BadImage(f"Cannot open the image {name}: {error.strerror or error}.") from error


def _for_dali(content: bytes, name: str, max_pixels: int) -> tuple[bytes, tuple[int, int]]:
    """The image in a form that DALI decodes as Pillow does, and its width and height."""
    size = _size_of_plain_jpeg(content)
    if size is not None and size[0] * size[1] <= max_pixels:
        with open_image(content, name, max_pixels) as photo:  # raises Heavy, and is then here again in a process
            if in_worker():
                photo.decode()
        return content, size
    image = decode_image(content, name, max_pixels)
    pixels = io.BytesIO()
    image.save(pixels, "PPM")
    return pixels.getvalue(), image.size


def _size_of_plain_jpeg(content: bytes) -> tuple[int, int] | None:
    """Width and height of an upright RGB or grey JPEG; ``None`` for anything else."""
    try:
        check_work(content)
        image = Image.open(io.BytesIO(content), formats=("JPEG",))
        plain = image.mode in ("RGB", "L") and image.getexif().get(ExifTags.Base.Orientation) not in UPRIGHT
    except Exception:  # damaged at its start, a bomb, or no JPEG: whoever decodes it will say
        return None
    return image.size if plain else None
