"""How far the answers of a faster way to compute are from the exact ones, on the bundled photos."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.pictures.channels import ORDERS, ChannelImage, Channels
from imgcls.data.pictures.decode import decode_image
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.predictor import Predictor


@dataclass(frozen=True)
class Agreement:
    """Photos, those with the same best class, and the largest difference of a probability."""

    photos: int
    same: int
    largest_difference: float

    def __str__(self) -> str:
        return (
            f"{self.photos - self.same} of {self.photos} bundled photos get another best class, "
            f"probabilities change by up to {self.largest_difference:.2g}"
        )


def measure_agreement(predictor: Predictor, exact: Predictor, images: np.ndarray, batch_size: int = 8) -> Agreement:
    """Compare two predictors on ``images``, ``[N, height, width, channels]``."""
    same, largest = 0, 0.0
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        found, expected = predictor.probabilities(part), exact.probabilities(part)
        same += int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
        largest = max(largest, float(np.abs(found - expected).max()))
    return Agreement(len(images), same, largest)


def bundled_photos(preprocessing: Preprocessing, every: int = 1) -> np.ndarray:
    """Each ``every``-th of the 36 photos for validation as the network is shown them, ``[N, height, width, channels]``.

    Channels beyond opacity are red, green and blue again.
    """
    transform = preprocessing.transform()
    paths = sorted(SAMPLE_PHOTOS.glob("val/*/*.jpg"))[::every]
    return np.stack([transform(_photo(path, preprocessing.channels), np.random.default_rng(0)) for path in paths])


def _photo(path: Path, channels: Channels) -> Image.Image | ChannelImage:
    if channels.count in ORDERS:
        return decode_image(path, channels=channels)
    return ChannelImage.of_array(np.asarray(decode_image(path))[..., np.arange(channels.count) % 3])
