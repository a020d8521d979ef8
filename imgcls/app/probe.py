"""The head first: features of all pictures, computed once and kept beside the run, and what trains a head on them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import paddle
from omegaconf import DictConfig, OmegaConf

from imgcls.app.data import make_loader
from imgcls.app.source import preprocessing
from imgcls.callbacks.head_first import HeadFirst
from imgcls.data.formats.record import known
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.bad_files import BadFiles
from imgcls.data.loading.features import FeatureDataset
from imgcls.data.loading.loader import Batch, Loader, build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.transforms import Transform
from imgcls.deploy.feature_maps import Features, feature_engine, require_parts
from imgcls.engine.amp import load_float32_state
from imgcls.engine.freezing import freeze_body
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write, remove
from imgcls.machine.progress import WithBar
from imgcls.machine.reading import read_json
from imgcls.machine.text import write_json
from imgcls.models.registry import build_model
from imgcls.run.directory import Run
from imgcls.run.logs import log
from imgcls.weights.adapt import class_count, keep_classes, of_other_classes

DIRECTORY, ABOUT = "features", "features.json"
HEAD = "head."
GIGABYTE = 1e9


@dataclass(frozen=True)
class Split:
    """Pictures of which features are wanted: ``views`` of each, as ``transform`` gives them in epoch 0, 1, ..."""

    name: str
    samples: Samples
    transform: Transform
    views: int
    training: bool


def head_epochs(config: DictConfig, epochs: int) -> int:
    """How many of a run's epochs train the head alone."""
    return min(config.probe.epochs or epochs, epochs) if config.probe.enabled else 0


class HeadTraining:
    """The part of a run that trains the head alone, from its first batch to what comes after it.

    Args:
        epochs: of it.
        make_optimizer: of the parameters that are trained when it is called.
    """

    def __init__(self, trainer: Trainer, epochs: int, make_optimizer: Callable[[], paddle.optimizer.Optimizer]):
        require_parts(trainer.network)
        self.trainer = trainer
        self.epochs = epochs
        self.make_optimizer = make_optimizer
        self.body, frozen = freeze_body(trainer.network)
        trainer.take_features(frozen)
        trainer.prepare(make_optimizer())
        self.parts: list[LoaderOfPart] = []
        self.directory: Path | None = None

    def loaders(self, on_images: list[Loader]) -> list["LoaderOfPart"]:
        """In place of loaders of images, those that give features until this part is over; see ``prepare_features``."""
        self.parts = [LoaderOfPart(images, lambda: self.trainer.on_features) for images in on_images]
        return self.parts

    def prepare_features(
        self, config: DictConfig, run: Run, train: Samples, val: Samples | None, augment: Transform
    ) -> None:
        """Compute what the loaders give; the network has its weights now."""
        plain = preprocessing(config.transform, config.model).transform()
        views = config.probe.views
        splits = [Split("train", train, augment if views else plain, max(1, views), training=True)]
        if val is not None:
            splits.append(Split("val", val, plain, views=1, training=False))
        found = prepare_features(config, run, self.trainer, splits)
        self.directory = run.path / DIRECTORY
        if config.probe.from_classes and not run.start_from:
            self._start_from_classes(config, train, found[0][0])
        log.info("epochs 1 to %d train the head alone; experiment=all_layers trains everything", self.epochs)
        for part, split, features in zip(self.parts, splits, found, strict=True):
            file = run.path / "bad_files.txt"
            bad_files = BadFiles(config.data.max_errors, file) if config.data.on_error == "skip" else None
            sampler = copy(part.of_images.batch_sampler)
            part.of_features = build_loader(FeatureDataset(split.samples, features), sampler, bad_files=bad_files)

    def _start_from_classes(self, config: DictConfig, train: Samples, features: np.ndarray) -> None:
        """The last layer begins with means of the rows of the weights' own, which was made for other classes.

        In the mean for a class an old one counts by how probable the old layer finds it in the class's pictures.
        A class without pictures keeps its fresh row.

        Args:
            features: ``[N, C, h, w]`` of the training pictures.
        """
        network = self.trainer.network
        former = {name: one for name, one in self.trainer.former_head.items() if name.startswith(HEAD)}
        self.trainer.former_head = {}
        if not former or config.data.multi_label or not all(np.isfinite(one).all() for one in former.values()):
            log.info("probe.from_classes: nothing to begin with; the last layer begins as it is")
            return
        old_count = class_count(next(iter(former.values())).shape)
        old = _float32_copy(config, self.trainer, old_count, former)
        readable = np.flatnonzero(np.isfinite(features.reshape(len(features), -1)[:, 0]))
        probabilities = _probabilities(old, features, readable, config.trainer.eval_batch_size)
        labels = train.codes()[readable]
        shares = np.zeros((train.num_classes, old_count), np.float32)
        np.add.at(shares, labels, probabilities)
        counts = np.bincount(labels, minlength=train.num_classes)
        for name, tensor in network.state_dict().items():
            if name in former:
                fresh = tensor.astype("float32").numpy()
                value = of_other_classes(former[name], shares / np.maximum(counts, 1)[:, np.newaxis])
                keep_classes(value, fresh, counts == 0)
                tensor.set_value(self._of_first(value).astype(tensor.dtype))
        self.trainer.prepare(self.make_optimizer())  # half precision's masters are those of the tensors as they are now
        log.info("the last layer begins with what that of the weights, of %d classes, says of the pictures", old_count)

    def _of_first(self, value: np.ndarray) -> paddle.Tensor:
        """That of rank 0: the others' may be a rounding away."""
        return self.trainer.ranks.sum(paddle.to_tensor(value if self.trainer.ranks.first else np.zeros_like(value)))

    def callback(self) -> HeadFirst:
        return HeadFirst(self.epochs, self._train_all)

    def _train_all(self) -> None:
        for parameter in self.body:
            parameter.stop_gradient = False
        self.trainer.take_features(None)
        self.trainer.prepare(self.make_optimizer())
        if self.trainer.ranks.first and self.directory:
            remove(self.directory)  # nobody asks for them again


class LoaderOfPart:
    """Batches of features in the part of a run that trains the head alone, of images after it."""

    def __init__(self, of_images: Loader, on_features: Callable[[], bool]):
        self.of_images = of_images
        self.of_features: Loader | None = None
        self.on_features = on_features

    @property
    def now(self) -> Loader:
        return self.of_features if self.of_features and self.on_features() else self.of_images

    @property
    def batch_sampler(self) -> EpochSampler:
        return self.now.batch_sampler

    def __len__(self) -> int:
        return len(self.now)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.now)


def prepare_features(config: DictConfig, run: Run, trainer: Trainer, splits: list[Split]) -> list[np.ndarray]:
    """Features of each split, float32 ``[views, N, C, h, w]`` on the disk; those that are there, if nothing changed.

    Every rank computes its share.

    Raises:
        UserError: the network has no head of its own, the disk no room, or a feature is not finite.
    """
    directory, ranks = run.path / DIRECTORY, trainer.ranks
    about = _about(config, trainer, splits) if ranks.first else {}
    reusable = ranks.first and config.data.format != "own" and _is_of(directory, about)
    if not int(ranks.broadcast(str(int(reusable)))):
        seen = preprocessing(config.transform, config.model)
        network = _float32_copy(config, trainer, splits[0].samples.num_classes)
        with feature_engine(network, seen) as engine:
            shape = engine(np.zeros((1, *seen.image_shape), seen.channels.dtype)).shape[1:]
            with atomic_write(directory) if ranks.first else nullcontext() as partial:
                if ranks.first:
                    _make_files(partial, splits, shape, run.path)
                partial = Path(ranks.broadcast(str(partial)))
                for split in splits:
                    _fill(np.load(partial / f"{split.name}.npy", mmap_mode="r+"), split, engine, config, run, ranks)
                ranks.barrier()
                if ranks.first:
                    write_json(partial / ABOUT, about)
        ranks.wait_for_first()
    else:
        log.info("features: %s, of the same weights, pictures and transform", directory)
    return [np.load(directory / f"{split.name}.npy", mmap_mode="r") for split in splits]


def _make_files(directory: Path, splits: list[Split], shape: tuple[int, ...], run: Path) -> None:
    """Empty arrays; says what they take where that is much."""
    directory.mkdir(parents=True)
    shapes = {split.name: (split.views, len(split.samples), *shape) for split in splits}
    need = sum(4 * int(np.prod(whole)) for whole in shapes.values())
    pictures = sum(split.views * len(split.samples) for split in splits)
    free = shutil.disk_usage(directory).free
    if need > free:
        raise UserError(
            f"Features of {pictures:,} pictures take {need / GIGABYTE:,.1f} GB, and the disk of {run} has "
            f"{free / GIGABYTE:,.1f} GB left. Take fewer probe.views, put run.root elsewhere, or set "
            "probe.enabled=false."
        )
    log.info("features of %d pictures, %.3g MB: %s", pictures, need / 1e6, run / DIRECTORY)
    for name, whole in shapes.items():
        path = directory / f"{name}.npy"
        np.lib.format.open_memmap(path, "w+", np.float32, whole)
        with path.open("r+b") as file:
            os.posix_fallocate(
                file.fileno(), 0, path.stat().st_size
            )  # a disk that fills up later would kill this process


def _fill(features: np.ndarray, split: Split, engine: Features, config: DictConfig, run: Run, ranks: Any) -> None:
    settings = config.trainer
    loader = make_loader(
        split.samples,
        split.transform,
        config.data,
        size=config.transform.size,
        batch_size=settings.eval_batch_size,
        num_workers=settings.num_workers,
        seed=settings.seed if split.training else 0,
        training=split.training,
        directory=run.path,
    )
    sampler = loader.batch_sampler
    for view in range(split.views):
        sampler.set_position(view)
        wanted = {index for batch in sampler for _, index in batch}
        batches = WithBar(loader, desc=f"features of {split.name}", total=len(loader)) if ranks.first else loader
        for images, _, indices in batches:
            found, numbers = engine(images.numpy()), indices.numpy()
            if not np.isfinite(found).all():
                raise UserError(
                    f"{config.model.name} gives features that are not finite (NaN or infinity): are its weights "
                    "damaged?"
                )
            features[view, numbers] = found
            wanted.difference_update(numbers.tolist())
        features[view, sorted(wanted)] = np.nan  # what cannot be read
    features.flush()


def _probabilities(network: paddle.nn.Layer, features: np.ndarray, chosen: np.ndarray, batch: int) -> np.ndarray:
    """``[len(chosen), classes]``, of some of the features ``[N, C, h, w]``."""
    network.eval()
    parts = [chosen[start : start + batch] for start in range(0, len(chosen), batch)]
    with paddle.no_grad():
        logits = [network.forward_head(paddle.to_tensor(features[part])) for part in parts]
        return np.concatenate([paddle.nn.functional.softmax(one, -1).numpy() for one in logits])


def _float32_copy(
    config: DictConfig, trainer: Trainer, num_classes: int, other: Mapping[str, np.ndarray] = MappingProxyType({})
) -> paddle.nn.Layer:
    """The trained network as it is now, but for ``other`` tensors, without its precision, ranks and graphs."""
    model = config.model
    network = build_model(model.name, num_classes=num_classes, data_format=model.data_format, **model.args)
    own = network.state_dict() if other else {}  # those of further heads are of another class count, too
    same = {name: one for name, one in trainer.weights().items() if name not in own or one.shape == own[name].shape}
    load_float32_state(network, {**own, **same, **other})
    return network


def _about(config: DictConfig, trainer: Trainer, splits: list[Split]) -> dict[str, Any]:
    """All that features are a function of."""
    weights = hashlib.sha256()
    for name, tensor in trainer.weights().items():
        if not name.startswith(HEAD):
            weights.update(name.encode() + tensor.numpy().tobytes())
    model = OmegaConf.to_container(config.model)
    return {
        "weights": weights.hexdigest(),
        "model": [model["name"], model["data_format"], model["args"]],
        "transform": OmegaConf.to_container(config.transform),
        "seed": config.trainer.seed,
        "paddle": paddle.__version__,
        "splits": {
            split.name: {**known(split.samples)._asdict(), "views": split.views, "files": _files(split.samples)}
            for split in splits
        },
        "augmented": config.probe.views > 0,
    }


def _files(samples: Samples) -> str:
    """Sizes and times of the files, as a digest; what has none is taken to be as its name."""
    digest = hashlib.sha256()
    for index in range(len(samples)):
        try:
            stamp = samples.stamp(index)
        except (OSError, ValueError):
            continue
        digest.update(f"{' '.join(map(str, (index, *stamp)))}\n".encode())
    return digest.hexdigest()


def _is_of(directory: Path, about: dict[str, Any]) -> bool:
    """Whether what is there are whole features of the same."""
    try:
        for name in about["splits"]:
            np.load(directory / f"{name}.npy", mmap_mode="r")  # refuses one that is cut off
        return read_json(directory / ABOUT) == json.loads(json.dumps(about))
    except (UserError, OSError, ValueError):
        return False
