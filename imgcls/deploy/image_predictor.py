"""Named answers for images of any kind: paths, PIL images, arrays; one or many."""

import glob
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from PIL import Image

from imgcls.data.pictures.decode import MAX_PIXELS, open_image, to_upright
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.inputs import find_images
from imgcls.deploy.predictor import Predictor, require_numbers, taken, top_classes
from imgcls.errors import UserError

COMPUTING = threading.Lock()
"""Held while a network is asked, whichever it is: asked by two threads at once, Paddle gives other answers, without a
word, and OpenVINO none. All cores work for each of them anyway."""

NO_LISTS = (bytes, bytearray, memoryview, Mapping)
"""What Python goes through element by element, though no element is an image."""

ImageLike = str | os.PathLike | Image.Image | np.ndarray
"""A path, a PIL image, or uint8 RGB ``[H, W, 3]`` or grey ``[H, W]``; for other channels see ``to_upright``."""


@dataclass(frozen=True)
class Answer:
    """One class of one image: its number, its name, and its probability."""

    label: int
    name: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """The best classes of one image, best first; ``path`` where it came from a file.

    ``tags`` are those that it is taken to have, where an image has any number of classes: perhaps none.
    """

    top: tuple[Answer, ...]
    path: str | None = None
    tags: tuple[Answer, ...] | None = None

    @property
    def label(self) -> int:
        return self.top[0].label

    @property
    def name(self) -> str:
        return self.top[0].name

    @property
    def score(self) -> float:
        return self.top[0].score


class ImagePredictor:
    """What ``imgcls.load_predictor`` gives: the answers of ``imgcls.predict``, without files.

    Args:
        predictor: what computes, a network or an export.
        preprocessing: how it sees an image.
        class_names: in order of the class number; empty for an export that gives features.
        max_pixels: larger images are refused.
        thresholds: from which probability a class is taken, where an image has any number of classes.
    """

    def __init__(
        self,
        predictor: Predictor,
        preprocessing: Preprocessing,
        class_names: Sequence[str],
        max_pixels: int = MAX_PIXELS,
        thresholds: Sequence[float] | None = None,
    ):
        self.predictor = predictor
        self.preprocessing = preprocessing
        self.class_names = tuple(class_names)
        self.max_pixels = max_pixels
        self.thresholds = thresholds
        self._transform = preprocessing.transform()

    def predict(
        self, images: ImageLike | Iterable[ImageLike], topk: int = 5, batch_size: int = 8
    ) -> Prediction | list[Prediction]:
        """The ``topk`` best classes, or all of fewer.

        Args:
            images: one image or many. A path of a directory or a pattern stands for the images in it, as
                for ``predict.input``; an array ``[N, H, W, 3]`` for ``N`` images.

        Returns:
            A prediction for one image, a list for many.

        Raises:
            UserError: an image cannot be read or is of no kind that is known; this is an export of features.
        """
        _require_count("topk", topk)
        _require_count("batch_size", batch_size)
        entries, is_one = _listed(images)
        topk = min(topk, len(self.class_names) or topk)
        found: list[Prediction] = []
        for start, part in _parts(entries, batch_size):
            pixels = self._read(part)
            with COMPUTING:
                scores = self.predictor.probabilities(pixels)
            scores = require_numbers(scores, part, start)
            for entry, row, top in zip(part, scores, top_classes(scores, topk), strict=True):
                path = os.fspath(entry) if isinstance(entry, str | os.PathLike) else None
                tags = None if self.thresholds is None else self._answers(row, taken(row, self.thresholds))
                found.append(Prediction(self._answers(row, top), path, tags))
        return found[0] if is_one else found

    def _answers(self, scores: np.ndarray, labels: Iterable[int]) -> tuple[Answer, ...]:
        return tuple(Answer(int(label), self.class_names[label], float(scores[label])) for label in labels)

    def features(self, images: ImageLike | Iterable[ImageLike], batch_size: int = 8) -> np.ndarray:
        """The last feature map averaged over its area, float32 ``[num_features]``, or ``[N, num_features]`` for many.

        Raises:
            UserError: see ``predict``; or this is an export of classes.
        """
        _require_count("batch_size", batch_size)
        entries, is_one = _listed(images)
        parts = _parts(entries, batch_size)
        rows = [require_numbers(self._features(self._read(part)), part, start) for start, part in parts]
        if not rows:
            raise UserError("No images are given.")
        return rows[0][0] if is_one else np.concatenate(rows)

    def _features(self, pixels: np.ndarray) -> np.ndarray:
        with COMPUTING:
            return self.predictor.features(pixels)

    def _read(self, entries: Sequence[ImageLike]) -> np.ndarray:
        return np.stack([self._pixels(entry) for entry in entries])

    def _pixels(self, entry: ImageLike) -> np.ndarray:
        rng = np.random.default_rng(0)  # which evaluation's transform asks nothing of
        if isinstance(entry, str | os.PathLike):
            with open_image(entry, max_pixels=self.max_pixels, channels=self._transform.channels) as photo:
                return self._transform.of_file(photo, rng)
        return self._transform(to_upright(entry, self._transform.channels), rng)


def _require_count(name: str, value: Any) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name}={value!r}: it must be a whole number, at least 1.")


def _parts(entries: list[ImageLike], size: int) -> Iterator[tuple[int, list[ImageLike]]]:
    """The images of each batch, and the place of the first one."""
    for start in range(0, len(entries), size):
        yield start, entries[start : start + size]


def _listed(images: Any) -> tuple[list[ImageLike], bool]:
    """The images one by one, and whether a single one was given."""
    if isinstance(images, str | os.PathLike):
        path = os.path.expanduser(os.fspath(images))
        if os.path.isdir(path) or (not os.path.exists(path) and glob.has_magic(path)):
            return list(find_images(path)), False
        return [path], True
    if isinstance(images, Image.Image):
        return [images], True
    if isinstance(images, np.ndarray):
        if images.ndim == 4:
            return list(images), False
        return [images], True
    is_content = isinstance(images, NO_LISTS) or hasattr(images, "read")
    if is_content or not isinstance(images, Iterable):
        opened = " PIL.Image.open opens a file, or bytes as io.BytesIO." if is_content else ""
        raise UserError(
            f"{type(images).__name__} is no image. Give a path, a PIL image, a uint8 array or a list of these.{opened}"
        )
    return list(_each(images)), False


def _each(images: Iterable) -> Iterator[ImageLike]:
    for image in images:
        entries, is_one = _listed(image)
        if not is_one:
            raise UserError("A list of images may hold paths of files, PIL images and arrays [H, W, 3].")
        yield entries[0]
