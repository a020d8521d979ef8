"""The pictures that an int8 export is calibrated and measured on: those of the source's own data."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from imgcls.app.data import make_loader
from imgcls.app.evaluation import evaluation_samples
from imgcls.app.source import Source
from imgcls.data.formats.samples import Samples
from imgcls.deploy.int8 import LabelledImages
from imgcls.errors import UserError


@contextmanager
def quantization_images(
    source: Source, settings: DictConfig, classes: int, given: Iterable[str]
) -> Iterator[tuple[np.ndarray, LabelledImages]]:
    """Images for calibration, uint8 ``[N, H, W, 3]``, and the validation split; in files, for they may be many.

    Args:
        classes: of the network.
        given: keys of the command line.

    Raises:
        UserError: the data cannot be read, or its labels are not the network's classes, one a picture.
    """
    if source.multi_label:
        raise UserError("export.quantize=int8 counts right answers of one class a picture. Leave it out here.")
    splits = {split: evaluation_samples(source, split, given) for split in ("train", "val")}
    for split, samples in splits.items():
        if samples.num_classes != classes or not len(samples):
            raise UserError(
                f"export.quantize=int8 is measured on pictures of the network's own {classes} classes, and the {split} "
                f"data has {samples.num_classes}. Name the run as export.source, or the pictures with data=<kind> "
                "data.root=<directory>."
            )
    count = min(settings.calibration, len(splits["train"]))
    some = splits["train"].subset(np.arange(count) * len(splits["train"]) // count)
    with tempfile.TemporaryDirectory() as directory:
        calibration = _read(some, source, settings, Path(directory) / "train")
        yield calibration.images, _read(splits["val"], source, settings, Path(directory) / "val")


def _read(samples: Samples, source: Source, settings: DictConfig, file: Path) -> LabelledImages:
    seen = source.preprocessing()
    loader = make_loader(
        samples,
        seen.transform(),
        source.config.data,
        size=seen.size,
        batch_size=BATCH,
        num_workers=settings.num_workers,
    )
    images = np.memmap(file, np.uint8, "w+", shape=(len(samples), seen.height, seen.width, 3))
    labels: list[int] = []
    for batch, of_batch, _ in loader:
        images[len(labels) : len(labels) + len(batch)] = batch.numpy()
        labels += of_batch.numpy().tolist()
    return LabelledImages(images[: len(labels)], np.array(labels))


BATCH = 32
