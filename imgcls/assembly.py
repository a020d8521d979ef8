"""From sections of a configuration to objects: the data, the network and the callbacks of a program."""

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import paddle
from omegaconf import DictConfig, OmegaConf

from imgcls.callbacks.base import Callback
from imgcls.callbacks.checkpoint import Checkpoint
from imgcls.callbacks.evaluation import Evaluation
from imgcls.callbacks.history import History
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.max_steps import MaxSteps
from imgcls.callbacks.nan_guard import NanGuard
from imgcls.callbacks.preemption import Preemption
from imgcls.callbacks.progress import ProgressBar
from imgcls.data.build import build_samples
from imgcls.data.dataset import ImageDataset, SyntheticDataset
from imgcls.data.loader import build_loader
from imgcls.data.samples import Samples
from imgcls.data.sampler import EpochSampler
from imgcls.data.transforms import Transform, eval_transform, train_transform
from imgcls.errors import UserError
from imgcls.preprocessing import normalize
from imgcls.run_directory import RunDirectory
from imgcls.registry import create_model, model_info
from imgcls.weights.load import load_pretrained

FEATURES = {"mixup": "Mixup", "label_smoothing": "LabelSmoothing", "ema": "EMA"}
"""Optional callbacks: the key below ``callbacks`` and module name, and the class."""


def read_samples(data: DictConfig, split: str, num_classes: int | None) -> Samples:
    """The list of pictures and labels of one split, checked."""
    return build_samples(
        data.format,
        root=data.root,
        train_list=data.train_list,
        val_list=data.val_list,
        class_map=data.class_map,
        num_classes=num_classes or data.num_classes,
        split=split,
        check_files=data.check_files,
        train_size=data.train_size,
        val_size=data.val_size,
    )


def picture_transform(transform: DictConfig, model: DictConfig, training: bool) -> Transform:
    """From a decoded picture to uint8 ``[size, size, 3]``."""
    if training:
        return train_transform(
            size=transform.size,
            scale=tuple(transform.scale),
            ratio=tuple(transform.ratio),
            interpolation=transform.interpolation,
            flip=transform.flip,
            rotate=transform.rotate,
            color_jitter=transform.color_jitter,
        )
    return eval_transform(transform.size, resize_size(transform, model), transform.interpolation)


def resize_size(transform: DictConfig, model: DictConfig) -> int:
    """Short side before the centre crop; in the model's own proportion unless it is given."""
    return transform.resize_size or round(transform.size * model.resize_size / model.input_size)


def make_loader(
    samples: Samples,
    transform: Transform,
    data: DictConfig,
    *,
    batch_size: int,
    num_workers: int,
    seed: int = 0,
    shuffle: bool = False,
) -> paddle.io.DataLoader:
    """Batches of this rank: uint8 images ``[N, H, W, 3]``, labels and sample numbers."""
    ranks = paddle.distributed.get_world_size()
    dataset = ImageDataset(samples, transform, seed=seed, max_pixels=data.max_pixels)
    sampler = EpochSampler(
        len(samples),
        batch_size=max(1, batch_size // ranks),
        rank=paddle.distributed.get_rank(),
        ranks=ranks,
        shuffle=shuffle,
        seed=seed,
    )
    return build_loader(dataset, sampler, num_workers=num_workers, timeout=data.worker_timeout)


def build_network(model: DictConfig, num_classes: int) -> tuple[paddle.nn.Layer, str]:
    """The network with its weights, and what was loaded in words."""
    network = create_model(model.name, num_classes=num_classes, **model.args)
    if not model.pretrained:
        return network, f"{model.name}: random initialisation (model.pretrained={model.pretrained})"
    report = load_pretrained(network, model_info(model.name), model.pretrained, exclude=list(model.exclude))
    return network, f"{model.name}: {report.summary()}"


def preprocessing(transform: DictConfig):
    """From a loader's images to the network's input, on the device."""
    return partial(normalize, mean=list(transform.mean), std=list(transform.std))


def optional_callbacks(callbacks: DictConfig) -> list[Callback]:
    """The features that are switched on, and the user's own callbacks after them."""
    enabled = []
    for key, class_name in FEATURES.items():
        options = dict(callbacks.get(key) or {"enabled": False})
        if options.pop("enabled"):
            enabled.append(getattr(import_module(f"imgcls.callbacks.{key}"), class_name)(**options))
    return [*enabled, *(_own_callback(OmegaConf.to_container(entry)) for entry in callbacks.extra)]


def _own_callback(entry: dict[str, Any]) -> Callback:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        callback = instantiate(entry)
    except InstantiationException as error:
        raise UserError(f"callbacks.extra: {str(error).splitlines()[0]}") from error
    if not isinstance(callback, Callback):
        raise UserError(f"callbacks.extra: {entry.get('_target_')} is no imgcls.callbacks.base.Callback.")
    return callback


def training_callbacks(
    config: DictConfig, run: RunDirectory, val_loader: paddle.io.DataLoader, texts: dict[str, str]
) -> list[Callback]:
    """All callbacks of a training run, in the order of their events."""
    settings = config.trainer
    guard = [NanGuard(every=settings.log_every)] if config.callbacks.nan_guard.enabled else []
    limit = [MaxSteps(settings.max_steps)] if settings.max_steps else []
    return [
        *optional_callbacks(config.callbacks),
        LRSchedule(),
        *guard,
        *limit,
        Evaluation(val_loader, every=settings.eval_every, topk=tuple(settings.topk)),
        History(run.path),
        ProgressBar(every=settings.log_every),
        Checkpoint(
            run.checkpoints,
            every=settings.save_every,
            every_steps=settings.save_every_steps,
            keep=settings.keep_checkpoints,
            monitor=settings.monitor,
            extra=texts,
        ),
        Preemption(f"the same command with run.name={run.path.name} trainer.resume=auto"),
    ]


def output_directory() -> Path:
    """Where Hydra lets this job write."""
    from hydra.core.hydra_config import HydraConfig

    return Path(HydraConfig.get().runtime.output_dir)
