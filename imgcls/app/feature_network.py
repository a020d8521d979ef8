"""The network that gave features, opened again for the features of other pictures."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from imgcls.app.composition import composed
from imgcls.app.prediction import open_source
from imgcls.app.quoting import quoted
from imgcls.deploy.predictor import require_numbers
from imgcls.deploy.reader import ImageReader, read_batches
from imgcls.deploy.views import SeveralViews, views_of
from imgcls.errors import UserError, listed
from imgcls.machine.progress import progress_bar

NOT_IN_ORIGIN = ("output", "topk", "threshold")
"""Of what a prediction writes down beside what its features depend on."""

FEW = 32
"""So many pictures are read sooner than processes start."""


@contextmanager
def feature_network(
    command: Sequence[str], origin: dict[str, Any], given: DictConfig, pictures: int, directory: Path
) -> Iterator[Callable[[Sequence[str], Callable[[str, UserError], None]], tuple[list[str], np.ndarray]]]:
    """A function from paths to those that could be read and their features, float32 ``[N, D]``.

    Args:
        command: of ``imgcls.predict``, about the network.
        origin: what the features it is to be compared with depend on.
        given: the configuration of the program that asks.
        pictures: how many there are.
        directory: that the program writes to.

    Raises:
        UserError: the network is gone, or another one by now.
    """
    own = [f"run.root={quoted(str(directory.parent))}", f"run.name={quoted(directory.name)}"]
    own += [f"imports=[{','.join(map(quoted, given.imports))}]", "predict.input=photo.jpg", "predict.output=features"]
    with composed("predict", [*command, *own]) as (config, _):
        source = open_source(config, pictures)
        kind, predictor = config.predict.tta, source.predictor
        now = json.loads(json.dumps(source.origin)) | ({"tta": kind} if kind else {})
        before = {key: value for key, value in origin.items() if key not in NOT_IN_ORIGIN}
        if different := [key for key in {**before, **now} if before.get(key) != now.get(key)]:
            changes = listed(f"{key} was {before.get(key)}, now {now.get(key)}" for key in different)
            raise UserError(f"The network is not the one that the index was made with: {changes}. Build it anew.")
        if kind:
            predictor = SeveralViews(predictor, kind)
        read = ImageReader(source.preprocessing.transform(**views_of(kind)), given.data.max_pixels)
        batch_size, workers = config.predict.batch_size, config.predict.num_workers

        def features(paths: Sequence[str], report: Callable[[str, UserError], None]) -> tuple[list[str], np.ndarray]:
            good: list[str] = []
            rows: list[np.ndarray] = []
            with progress_bar(paths, desc="looking", unit=" pictures") as bar:
                batches = read_batches(
                    bar,
                    read,
                    read.transform.image_shape,
                    batch_size,
                    workers if len(paths) > FEW else 0,
                    report,
                    max_decode_seconds=given.data.max_decode_seconds,
                    dtype=read.transform.channels.dtype,
                )
                for names, images in batches:
                    rows.append(require_numbers(predictor.features(images), names))
                    good += names
            return good, np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)

        yield features
