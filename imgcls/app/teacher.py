"""The teacher of a training, and the photos without labels that it is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
from omegaconf import DictConfig

from imgcls.app.run_record import read_record
from imgcls.app.source import build_network, preprocessing, recorded_source
from imgcls.callbacks.distillation import Distillation
from imgcls.data.formats.class_names import default_class_names
from imgcls.data.formats.samples import Samples
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.inputs import find_images
from imgcls.errors import UserError
from imgcls.models.checks import require_methods
from imgcls.models.registry import build_model, model_info
from imgcls.run.logs import log
from imgcls.weights.load import load_pretrained


def distillation(section: DictConfig, seen: Preprocessing, class_names: tuple[str, ...]) -> Distillation:
    """The callback of ``distill``, with its teacher.

    Args:
        seen: how the student sees an image.
        class_names: of the training data.

    Raises:
        UserError: there is no such teacher, or it knows other classes.
    """
    record = read_record(section.teacher) if Path(section.teacher).exists() else None
    if record is not None:
        source = recorded_source(record, record.config)
        if source.multi_label:
            raise UserError(f"distill.teacher={section.teacher}: its pictures have any number of classes.")
        names, its_own = source.class_names, preprocessing(source.config.transform, source.config.model)
        _require_same_classes(section.teacher, names, class_names)
        teacher = build_network(source.config.model, len(names), require_all=True)
        name = source.config.model.name
    else:
        info = model_info(section.teacher)
        name, its_own = info.name, Preprocessing.of_model(info)
        _require_same_classes(section.teacher, default_class_names(1000), class_names)
        teacher = build_model(info.name, num_classes=1000)
        load_pretrained(teacher, info, True)
    if its_own.channels != seen.channels:
        raise UserError(
            f"distill.teacher={section.teacher} is shown pictures of {its_own.channels}, the student of "
            f"{seen.channels}: they must be the same."
        )
    if section.features:
        require_methods(teacher, "distill.features", "forward_features", "forward_head")
    log.info("teacher: %s, %s", name, section.teacher)
    return Distillation(teacher, Adapt(seen, its_own), section.temperature, section.alpha, section.features)


class Adapt:
    """From one network's normalised input to another's: the same pixels under other means and deviations."""

    def __init__(self, seen: Preprocessing, wanted: Preprocessing):
        mean, std, its_mean, its_std = (
            np.array(values, np.float64).reshape(1, -1, 1, 1)
            for values in (seen.mean, seen.std, wanted.mean, wanted.std)
        )
        self.is_same = np.allclose(mean, its_mean) and np.allclose(std, its_std)
        self.scale = paddle.to_tensor((std / its_std).astype(np.float32))
        self.shift = paddle.to_tensor(((mean - its_mean) / its_std).astype(np.float32))

    def __call__(self, images: paddle.Tensor) -> paddle.Tensor:
        return images if self.is_same else images * self.scale.astype(images.dtype) + self.shift.astype(images.dtype)


def with_photos(samples: Samples, photos: str) -> Samples:
    """Training samples, and every picture of a directory after them, with a label that says nothing.

    Raises:
        UserError: there are none.
    """
    paths = [
        str(Path(path).absolute()).encode("utf-8", "surrogateescape")
        for path in find_images([photos], key="distill.photos")
    ]
    lengths = np.array([len(path) for path in paths], np.int64)
    ends = len(samples.text) + np.cumsum(lengths)
    log.info("%d photos without labels from %s", len(paths), photos)
    return replace(
        samples,
        text=samples.text + b"".join(paths),
        starts=np.concatenate([samples.starts, ends - lengths]),
        ends=np.concatenate([samples.ends, ends]),
        labels=np.concatenate([samples.labels, np.zeros(len(paths), np.int32)]),
    )


def _require_same_classes(teacher: str, its: tuple[str, ...], names: tuple[str, ...]) -> None:
    if its != names:
        raise UserError(
            f"distill.teacher={teacher} knows {len(its)} classes ({', '.join(its[:3])}, ...), the data has "
            f"{len(names)} ({', '.join(names[:3])}, ...): a teacher must know the classes of the data. Train one: "
            "python -m imgcls.train with the same data, and name its run."
        )
