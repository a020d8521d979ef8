"""How fast pictures become batches: this library, its parts, and the ways that others do it, on the same files."""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import paddle
from PIL import Image
from rich.markup import escape
from rich.table import Table

from imgcls.data.formats.build import build_samples
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.dali import DaliLoader
from imgcls.data.loading.dataset import ClassificationDataset, ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.crops import random_crop_box
from imgcls.data.pictures.decode import decode_image, open_image
from imgcls.data.pictures.transforms import train_transform
from imgcls.models.registry import IMAGENET_MEAN, IMAGENET_STD

SCALE, RATIO, FLIP = (0.08, 1.0), (3 / 4, 4 / 3), 0.5
DECODING, OURS, ALONE = "decoding alone (Pillow)", "this library", "this library, one process"
OURS_BY_OPENCV, ALONE_BY_OPENCV = "this library, OpenCV's pixels", "OpenCV's pixels, one process"
OPENCV, DALI = "OpenCV, as the original", "DALI on the CPU"

OPTIONAL = {OPENCV: "opencv-python-headless is not installed", DALI: "the extra imgcls[dali] is not installed"}


class Pictures(NamedTuple):
    """Photos to make: how large, how many different ones, and how many to read in a step."""

    title: str
    width: int
    height: int
    different: int
    per_step: int


MADE = (Pictures("photos of ImageNet's size", 500, 375, 100, 100), Pictures("12-megapixel photos", 4000, 3000, 10, 5))
GIVEN_PER_STEP = 20
MOST_GIVEN = 1000


class Rates(NamedTuple):
    """Images per second: of all cores' time together, and of the clock's."""

    cpu: float
    wall: float


def measure_loader(
    samples: Samples | None, size: int, batch_size: int, num_workers: int, steps: int, repeats: int
) -> Iterator[Table]:
    """A table for each set of pictures: rates as medians over ``repeats``, in which all take turns.

    What it costs to start, to read a first batch in each process and to end is taken off.

    Args:
        samples: the pictures; ``None`` for some made from the bundled photos by tiling.
        num_workers: processes, or threads for DALI.
        steps: a step is 100 photos of ImageNet's size, 5 large ones or 20 given ones.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        sets = {"the given pictures": (_copies(samples, root / "given"), GIVEN_PER_STEP)} if samples else {}
        for made in () if samples else MADE:
            sets[made.title] = (_tiled(made, root / made.title), made.per_step)
        for title, (paths, per_step) in sets.items():
            short = _cycled(paths, max(1, num_workers) * batch_size)
            # beyond what is read ahead, by two batches for each worker
            count = max(steps * per_step, 2 * num_workers * batch_size)
            whole = _cycled(paths, len(short) + count)
            pairs = [_contestants(pictures, size, batch_size, num_workers) for pictures in (short, whole)]
            rounds = [
                {name: _rates(*(loaders[name] for loaders in pairs)) for name in pairs[0]} for _ in range(repeats)
            ]
            rates = {name: Rates(*map(median, zip(*(r[name] for r in rounds), strict=True))) for name in pairs[0]}
            yield _table(title, paths, rates, _decode_share(short, size), num_workers)


def _contestants(samples: Samples, size: int, batch_size: int, num_workers: int) -> dict[str, Iterable]:
    """Loaders over the same pictures, by what they are called."""
    sampler = EpochSampler(len(samples), batch_size)
    ours = ImageDataset(samples, train_transform(size, scale=SCALE, ratio=RATIO, flip=FLIP))
    loaders: dict[str, Iterable] = {
        DECODING: build_loader(_DecodeOnly(samples), sampler, num_workers),
        OURS: build_loader(ours, sampler, num_workers),
        ALONE: build_loader(ours, sampler, num_workers=0),
        "paddle.vision.transforms": _paddles(_PaddleTransforms(samples, size), batch_size, num_workers),
    }
    if find_spec("cv2"):
        by_opencv = ImageDataset(
            samples, train_transform(size, scale=SCALE, ratio=RATIO, flip=FLIP, resampling="opencv")
        )
        loaders[OURS_BY_OPENCV] = build_loader(by_opencv, sampler, num_workers)
        loaders[ALONE_BY_OPENCV] = build_loader(by_opencv, sampler, num_workers=0)
        loaders[OPENCV] = _paddles(_OpenCV(samples, size), batch_size, num_workers)
    if find_spec("nvidia") and find_spec("nvidia.dali"):
        loaders[DALI] = DaliLoader(ours, sampler, num_workers)
    return loaders


def _paddles(dataset: ClassificationDataset, batch_size: int, num_workers: int) -> Iterable:
    """Paddle's own loader, with nothing of ours."""
    return paddle.io.DataLoader(dataset, batch_size=batch_size, num_workers=num_workers, places=[paddle.CPUPlace()])


class _DecodeOnly(ClassificationDataset):
    """The whole picture decoded and thrown away."""

    image_shape = (1, 1, 3)

    def image(self, epoch: int, index: int) -> np.ndarray:
        decode_image(self.samples.path(index))
        return np.zeros((1, 1, 3), np.uint8)


class _OpenCV(ClassificationDataset):
    """Decode, crop, resize, mirror, and normalise to float32 ``[3, H, W]``, as the original's reader does."""

    def __init__(self, samples: Samples, size: int):
        super().__init__(samples)
        self.size = size
        self.mean, self.std = (
            np.array(values, np.float32).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )

    def image(self, epoch: int, index: int) -> np.ndarray:
        import cv2

        cv2.setNumThreads(0)  # the workers are the parallelism
        rng = np.random.default_rng([epoch, index])
        image = cv2.imread(self.samples.path(index))
        height, width = image.shape[:2]
        left, top, right, bottom = random_crop_box(width, height, SCALE, RATIO, rng)
        image = cv2.resize(image[top:bottom, left:right], (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.5:
            image = image[:, ::-1]
        return (image[:, :, ::-1].astype(np.float32).transpose(2, 0, 1) / 255 - self.mean) / self.std


class _PaddleTransforms(ClassificationDataset):
    """The same with Paddle's transforms, composed as its examples do."""

    def __init__(self, samples: Samples, size: int):
        super().__init__(samples)
        transforms = paddle.vision.transforms
        mean, std = ([255 * value for value in values] for values in (IMAGENET_MEAN, IMAGENET_STD))
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(size, SCALE, RATIO),
                transforms.RandomHorizontalFlip(),
                transforms.Transpose(),
                transforms.Normalize(mean, std),
            ]
        )

    def image(self, epoch: int, index: int) -> np.ndarray:
        return self.transform(Image.open(self.samples.path(index)).convert("RGB"))


def _rates(short: Iterable, whole: Iterable) -> Rates:
    """Of what a whole pass does more than a short one."""
    images, cpu, wall = np.subtract(_cost(whole), _cost(short))
    return Rates(*(images / seconds if seconds > 0 else np.nan for seconds in (cpu, wall)))


def _cost(loader: Iterable) -> tuple[int, float, float]:
    """Images of a pass, CPU-seconds and seconds; the workers' time is known once they have ended."""
    cpu, wall, images = _cpu_seconds(), time.perf_counter(), 0
    for _, labels, _ in loader:
        images += len(labels)
    return images, _cpu_seconds() - cpu, time.perf_counter() - wall


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _decode_share(samples: Samples, size: int) -> float:
    """The share of decoding in the time this library takes for a picture, file to array, in one thread."""
    transform = train_transform(size, scale=SCALE, ratio=RATIO, flip=FLIP)
    crop, *others = transform.transforms
    decoding, started = 0.0, time.perf_counter()
    for index in range(len(samples)):
        rng = np.random.default_rng([0, index])
        with open_image(samples.path(index)) as photo:
            box = crop.box(*photo.size, rng)
            asked = time.perf_counter()
            image, box = photo.decode_around(box, size, crop.crop_first)
            decoding += time.perf_counter() - asked
            image = crop.cut(image, box)
            for step in others:
                image = step(image, rng)
            np.asarray(image)
    return decoding / (time.perf_counter() - started)


def _table(title: str, paths: list[str], rates: dict[str, Rates], decode_share: float, num_workers: int) -> Table:
    with Image.open(paths[0]) as first:
        size = f"{first.width} x {first.height}"
    kilobytes = sum(os.path.getsize(path) for path in paths) / len(paths) / 1000
    notes = [
        f"decoding is {decode_share:.0%} of this library's own time",
        *(
            f"{name}: {rates[name].cpu / rates[DECODING].cpu:.2f} of decoding alone by CPU time; {num_workers} workers "
            f"give {rates[name].wall / rates[alone].wall:.2f} times the images/s of one process, "
            f"{num_workers * rates[name].cpu / rates[alone].cpu:.2f} on cores that nobody else uses"
            for name, alone in ((OURS, ALONE), (OURS_BY_OPENCV, ALONE_BY_OPENCV))
            if name in rates
        ),
        *(f"{name}: {reason}" for name, reason in OPTIONAL.items() if name not in rates),
        *(
            ["nan: too few pictures to tell from what a start costs, raise benchmark.steps"]
            if np.isnan([*rates.values()]).any()
            else []
        ),
    ]
    table = Table(
        *("", "images/CPU-s", "images/s", f"{OURS} : it"),
        title=f"{title} ({size}, {kilobytes:.0f} KB), {num_workers} workers or threads",
        caption=escape("\n".join(notes)),
    )
    for name, (cpu, wall) in rates.items():
        table.add_row(name, f"{cpu:,.0f}", f"{wall:,.0f}", f"{rates[OURS].cpu / cpu:.2f}")
    return table


def _tiled(pictures: Pictures, directory: Path) -> list[str]:
    """Photos of the wanted size, each of other bundled photos side by side."""
    directory.mkdir()
    bundled = build_samples("sample", split="train")
    tiles = cycle(decode_image(bundled.path(index)) for index in range(len(bundled)))
    paths = []
    for number in range(pictures.different):
        canvas = Image.new("RGB", (pictures.width, pictures.height))
        for top in range(0, pictures.height, 192):
            left = 0
            while left < pictures.width:
                tile = next(tiles)
                canvas.paste(tile, (left, top))
                left += tile.width
        paths.append(str(directory / f"{number}.jpg"))
        canvas.save(paths[-1], quality=85)
    return paths


def _copies(samples: Samples, directory: Path) -> list[str]:
    """Copies of pictures evenly spread over the samples, wherever their content comes from."""
    directory.mkdir()
    paths = []
    for index in np.linspace(0, len(samples) - 1, min(MOST_GIVEN, len(samples))).astype(int):
        source = samples.source(index)
        paths.append(str(directory / f"{index}"))
        Path(paths[-1]).write_bytes(source if isinstance(source, bytes) else Path(source).read_bytes())
    return paths


def _cycled(paths: list[str], count: int) -> Samples:
    """So many samples, the pictures over and over."""
    names = [os.fsencode(path) for path in islice(cycle(paths), count)]
    return Samples.of_classes("/", [names], ("picture",))
