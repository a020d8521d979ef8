"""What ``imgcls.predict`` reaches on a folder of photos, against reading alone and the network alone."""

import shutil
import tempfile
import time
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.pictures.decode import MAX_PIXELS
from imgcls.deploy.predictor import ExportPredictor, open_export
from imgcls.deploy.reader import Batch, ImageReader, read_batches
from imgcls.deploy.results import ClassFile
from imgcls.models.registry import build_model

NUM_WORKERS = 2
TOPK = 5


def measure_predict(model: str, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> dict[str, float]:
    """Rates in photos per second as medians over ``repeats``, once the first ``warmup`` batches are through.

    The folder holds ``(warmup + steps) * batch_size`` copies of the bundled photos.

    Returns:
        ``photos``; ``decode_rate`` (reading alone, with two processes); ``network_rate`` (``paddle.inference``
        alone, with all cores); ``predict_rate`` (both, and the answers written); ``of_the_slower``,
        which is that over the smaller of the two; ``of_shared_cores``, over what cores shared by both
        would give if nothing were lost; ``memory_growth_mb`` of this process over the last repeat.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        contract = export_for_measuring(build_model(model), model, size, root / "export")
        predictor = open_export(root / "export")
        photos = _copies((warmup + steps) * batch_size, root / "photos")
        read = ImageReader(contract.preprocessing.transform(), MAX_PIXELS)
        rates: dict[str, list[float]] = {"decode_rate": [], "network_rate": [], "predict_rate": []}
        for _ in range(repeats):
            batches = read_batches(photos, read, read.transform.image_shape, batch_size, NUM_WORKERS, _refuse)
            rates["decode_rate"].append(_rate(batches, warmup))
            batch = (photos[:batch_size], np.stack([read(path) for path in photos[:batch_size]]))
            rates["network_rate"].append(_rate(_answered([batch] * (warmup + steps), predictor), warmup))
            answers = ClassFile(root, contract.class_names, TOPK)
            batches = read_batches(photos, read, read.transform.image_shape, batch_size, NUM_WORKERS, _refuse)
            memory: list[float] = []
            rates["predict_rate"].append(_rate(_answered(batches, predictor, answers, memory), warmup))
    figures = {name: median(values) for name, values in rates.items()}
    decode, network, predict = figures.values()
    return {
        "photos": len(photos),
        **figures,
        "of_the_slower": predict / min(decode, network),
        "of_shared_cores": predict * (1 / decode + 1 / network),
        "memory_growth_mb": memory[-1] - memory[min(warmup, len(memory) - 1)],
    }


def _copies(count: int, directory: Path) -> list[str]:
    directory.mkdir()
    photos = islice(cycle(sorted(SAMPLE_PHOTOS.glob("*/*/*.jpg"))), count)
    return [str(shutil.copy(photo, directory / f"{number:07}.jpg")) for number, photo in enumerate(photos)]


def _answered(
    batches: Iterable[Batch], predictor: ExportPredictor, answers: ClassFile | None = None, memory: list | None = None
) -> Iterable[Batch]:
    for paths, images in batches:
        probabilities = predictor.probabilities(images)
        if answers is not None:
            answers.add(paths, probabilities)
            memory.append(_memory_mb())
        yield paths, images


def _rate(batches: Iterable[Batch], warmup: int) -> float:
    """Pictures per second after the first ``warmup`` batches."""
    count, started = 0, time.perf_counter()
    for number, (paths, _) in enumerate(batches):
        if number == warmup - 1:
            count, started = 0, time.perf_counter()
        else:
            count += len(paths)
    return count / (time.perf_counter() - started)


def _memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 2**20


def _refuse(path: str, error: Exception) -> None:
    raise error
