"""From the data and transform sections of a configuration to samples and batches."""

from pathlib import Path

import paddle
from omegaconf import DictConfig, OmegaConf

from imgcls.app.own import make, make_own
from imgcls.app.pixels import USUAL, channels_of
from imgcls.data.formats.build import build_samples, require_class_count
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.own import own_samples
from imgcls.data.formats.samples import Samples, in_classes
from imgcls.data.formats.table_list import Columns
from imgcls.data.loading.bad_files import BadFiles
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dali import DaliLoader
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import Loader, build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.data.pictures.arrays import NPY_SUFFIX
from imgcls.data.pictures.channels import RGB, Channels
from imgcls.data.pictures.preprocessing import fill_of
from imgcls.data.pictures.size import Size, as_size
from imgcls.data.pictures.transforms import Transform, train_transform
from imgcls.engine.ranks import current as current_ranks
from imgcls.errors import UserError
from imgcls.machine.store import Store, scheme_of
from imgcls.run.logs import log


def read_samples(
    data: DictConfig,
    split: str,
    num_classes: int | None,
    class_names: tuple[str, ...] | None = None,
    undivided: bool = False,
    channels: Channels = RGB,
) -> Samples:
    """The list of pictures and labels of one split, checked; the log names what was left out of its directories.

    Args:
        num_classes: what ``model.num_classes`` says the data must have, if it does.
        class_names: names the data must have, in order of the label; those of a model that is there already.
        undivided: no picture is wanted for validation: class directories need no ``train`` above them.
        channels: of the images: for others than RGB of 8 bits ``.npy`` files are pictures, too.
    """
    num_classes_key = "model.num_classes" if num_classes else "data.num_classes"
    if class_names is None:
        num_classes = num_classes or data.num_classes
    if data.format == "own":
        dataset = make_own(data, "data", split=split)
        where = f"{type(dataset).__name__} {split}"
        samples = own_samples(dataset, where)
        require_class_count(num_classes, samples.num_classes, f"the {split} data", num_classes_key)
        return samples if class_names is None else in_classes(samples, class_names, where)
    left_out = LeftOut(also=() if channels.are_usual else (NPY_SUFFIX,))
    samples = build_samples(
        data.format,
        root=data.root,
        train_list=data.train_list,
        val_list=data.val_list,
        class_map=data.class_map,
        num_classes=num_classes,
        split=split,
        class_names=class_names,
        check_files=data.check_files,
        allow_empty_classes=data.allow_empty_classes,
        num_samples=(data.train_size if split == "train" else data.val_size) or 0,
        left_out=left_out,
        val_share=0 if undivided and data.val_share is None else data.val_share,
        val_seed=data.val_seed,
        multi_label=data.multi_label,
        num_classes_key=num_classes_key,
        columns=columns_of(data),
        folds=data.folds,
        fold=data.fold,
        store=store_of(data),
    )
    if left_out and not (
        (data.val_share or data.folds) and split == "val"
    ):  # whose pictures are among those of training
        log.info("%s: %s", split, left_out.line())
    return samples


def columns_of(data: DictConfig) -> Columns:
    """What the command says of the columns, or fields, that hold images, labels and splits."""
    return Columns(data.image_column, data.label_column, data.split_column)


def store_of(data: DictConfig) -> Store | None:
    """Where the files lie, if ``data.root`` is an address."""
    if scheme_of(data.root) is None:
        return None
    return Store(data.root, data.remote_timeout, data.remote_retries, int(data.remote_cache_gb * 1e9))


def training_transform(transform: DictConfig) -> Transform:
    """From a decoded image to an array ``[height, width, channels]``, with everything that is random in training."""
    return train_transform(
        size=as_size(transform.size),
        fit=transform.fit,
        fill=fill_of(transform.mean),
        scale=tuple(transform.scale),
        ratio=tuple(transform.ratio),
        interpolation=transform.interpolation,
        resampling=transform.resampling or USUAL,
        flip=transform.flip,
        rotation=transform.rotation,
        color_jitter=tuple(transform.color_jitter),
        autoaugment=transform.autoaugment or None,
        randaugment=(transform.randaugment.num_layers, transform.randaugment.magnitude),
        extra=[make(OmegaConf.to_container(entry), "transform.extra") for entry in transform.extra],
        channels=channels_of(transform),
    )


def make_loader(
    samples: Samples,
    transform: Transform,
    data: DictConfig,
    *,
    size: Size,
    batch_size: int,
    num_workers: int,
    seed: int = 0,
    shuffle: bool = False,
    training: bool | None = None,
    directory: Path | None = None,
) -> Loader | DaliLoader:
    """Batches of this rank: images ``[N, H, W, channels]``, uint8 of 8 bits, labels and sample numbers.

    Args:
        transform: of pictures from files; synthetic ones are made in the right ``size``, as the configuration says it.
        batch_size: over all ranks.
        shuffle: for training: a new order each epoch, and a batch for every rank at every step.
        training: whether synthetic pictures are those of training; as ``shuffle`` says when left out.
        directory: where ``bad_files.txt`` goes when files that cannot be read are skipped.

    Raises:
        UserError: the ranks cannot have equal shares of a batch for training; synthetic pictures have no such crops.
    """
    ranks = current_ranks()
    if shuffle and batch_size % ranks.count:
        raise UserError(
            f"trainer.batch_size={batch_size} is shared by {ranks.count} processes: it must be a multiple of "
            f"{ranks.count}."
        )
    if data.format == "synthetic":
        of_training = shuffle if training is None else training
        other = not of_training  # pictures for validation
        dataset = SyntheticDataset(samples, as_size(size), seed=seed + other, channels=transform.channels.count)
        if transform.image_shape not in (None, dataset.image_shape):
            raise UserError(
                "data=synthetic makes pictures of the network's size: there are no corners (tta=five, whole)."
            )
    else:
        held = _held(samples, transform, data) if data.cache == "ram" else None
        dataset = ImageDataset(samples, transform, seed=seed, max_pixels=data.max_pixels, cache=held)
    sampler = EpochSampler(
        len(samples),
        batch_size=max(1, batch_size // ranks.count),
        rank=ranks.rank,
        ranks=ranks.count,
        shuffle=shuffle,
        seed=seed,
        pad=shuffle,
        balanced_labels=samples.labels if shuffle and data.sampler == "balanced" else None,
    )
    if data.backend == "dali" and data.format != "synthetic":
        if not transform.channels.are_usual:
            raise UserError(f"data.backend=dali reads RGB of 8 bits, not {transform.channels}: use pillow.")
        place = paddle.device.get_device()
        gpu = int(place.removeprefix("gpu:")) if place.startswith("gpu:") else None
        limits = {"timeout": data.worker_timeout, "max_decode_seconds": data.max_decode_seconds}
        return DaliLoader(dataset, sampler, num_threads=num_workers, device_id=gpu, **limits)
    list_file = directory / "bad_files.txt" if directory else None
    bad_files = BadFiles(data.max_errors, list_file) if data.on_error == "skip" else None
    limits = {"timeout": data.worker_timeout, "max_decode_seconds": data.max_decode_seconds}
    return build_loader(dataset, sampler, num_workers, bad_files=bad_files, **limits)


def _held(samples: Samples, transform: Transform, data: DictConfig) -> RamCache:
    limits = (data.cache_mb, data.max_pixels, data.max_decode_seconds)
    return RamCache(samples, transform.decode, *limits, transform.channels)
