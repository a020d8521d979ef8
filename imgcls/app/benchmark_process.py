"""``python -m imgcls.app.benchmark_process <setting> <file>``: one process of a measurement by ``benchmarks.train``.

The composed configuration is read from standard input; rank 0 writes the figures to the file.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from imgcls.app.program import report
from imgcls.benchmarks.train import Setting
from imgcls.errors import Interrupted
from imgcls.machine.installation import require_paddle
from imgcls.machine.modules import import_modules
from imgcls.machine.processes import end_before_destructors
from imgcls.machine.streams import prepare_streams
from imgcls.machine.text import write_json
from imgcls.run.launcher import end_with_parent, is_first

if TYPE_CHECKING:
    from imgcls.benchmarks.train_speed import Figures
    from imgcls.engine.ranks import Ranks

CROPS = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "flip": 0.5}


def main() -> int:
    """Returns the exit status."""
    prepare_streams()
    end_with_parent()
    setting, file = Setting(**json.loads(sys.argv[1])), Path(sys.argv[2])
    config = OmegaConf.create(sys.stdin.buffer.read().decode("utf-8"))
    try:
        require_paddle()
        import_modules(config.imports)
        figures = _measure(config, setting)
        if is_first():
            write_json(file, asdict(figures))
    except (Exception, Interrupted) as error:
        return report(error)
    return 0


def _measure(config: DictConfig, setting: Setting) -> "Figures":
    import paddle

    from imgcls.app.source import build_network
    from imgcls.benchmarks.train_speed import NUM_CLASSES, SameBatch, Stopwatch, measure_speed
    from imgcls.data.pictures.preprocessing import Preprocessing
    from imgcls.engine.ranks import join
    from imgcls.machine.device import select_device
    from imgcls.models.registry import model_info

    settings, model = config.benchmark, config.model
    select_device(None, training=True)
    ranks = join()
    stopwatch = Stopwatch(settings.warmup, settings.steps)
    updates = stopwatch.updates(ranks)
    if setting.data == "real":
        loader, classes = _photos(config, ranks, updates)
    else:
        loader, classes = SameBatch(model.input_size, settings.batch_size, updates, ranks), NUM_CLASSES
    model.data_format = setting.data_format
    paddle.seed(0)
    return measure_speed(
        build_network(model, model.num_classes or max(NUM_CLASSES, classes)),
        loader,
        stopwatch,
        batch_size=settings.batch_size,
        precision=setting.precision,
        amp_dtype=settings.amp_dtype,
        compile=setting.compile,
        preprocess=Preprocessing.of_model(model_info(model.name)).normalize,
    )


def _photos(config: DictConfig, ranks: "Ranks", updates: int):
    """A loader of as many pictures as are needed, augmented as in training; and their number of classes."""
    import numpy as np

    from imgcls.app.data import make_loader, read_samples
    from imgcls.data.pictures.transforms import train_transform

    settings, data = config.benchmark, config.data
    if data.format == "synthetic":
        data.format = "sample"
        data.num_classes = None
    samples = read_samples(data, "train", None)
    batch_size = settings.batch_size * ranks.count
    count = updates * batch_size
    loader = make_loader(
        samples.subset(np.arange(count) * len(samples) // count),
        train_transform(config.model.input_size, **CROPS),
        data,
        size=config.model.input_size,
        batch_size=batch_size,
        num_workers=settings.num_workers,
        shuffle=True,
    )
    return loader, samples.num_classes


if __name__ == "__main__":
    status = main()
    end_before_destructors()
    sys.exit(status)
