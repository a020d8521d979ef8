"""The pictures of an evaluation, under the classes of the model that is evaluated."""

from collections.abc import Iterable

from omegaconf import DictConfig

from imgcls.app.data import read_samples, store_of
from imgcls.app.pixels import channels_of
from imgcls.app.source import Source, has_plain_names
from imgcls.app.words import data_at
from imgcls.data.formats.build import has_split
from imgcls.data.formats.samples import Samples
from imgcls.data.formats.table_list import is_table
from imgcls.errors import UserError
from imgcls.run.logs import log

NAMES_SHOWN = 3

OTHER_DATA = ("data", "data.root", "data.train_list", "data.val_list")
"""Whoever gives one of these evaluates on other pictures than the run's."""


def evaluation_samples(source: Source, split: str, given: Iterable[str]) -> Samples:
    """The samples of a split; where the model's classes are recorded, matched to these by name.

    Classes without a picture are accepted. The labels of lists are numbers of the model's classes, or of
    ``data.class_map`` if the command gives one.

    Args:
        given: keys of the command line.

    Raises:
        UserError: pictures of a class that the model does not have, see also ``build_samples``; or it is not
            clear which pictures of other data are meant.
    """
    given = set(given)
    data, channels = source.config.data.copy(), channels_of(source.config.transform)
    if not source.class_names:
        return read_samples(data, split, source.config.model.num_classes, channels=channels)
    data.allow_empty_classes = True
    if given.isdisjoint(("data", "data.class_map")):
        data.class_map = None  # of the training lists: the checkpoint has its names, and the file may be gone
    if data.format == "synthetic" and "data.root" in given and "data" not in given:
        raise UserError(
            f"data.root={data.root}: the run's pictures are made up (data=synthetic). Write {data_at(data.root)}"
        )
    is_other = _settle_division(data, split, given)
    samples = read_samples(data, split, None, source.class_names, channels=channels)
    absent = [name for name, count in zip(samples.class_names, samples.class_counts(), strict=True) if not count]
    if absent:
        shown = ", ".join(absent[:NAMES_SHOWN])
        shown += ", ..." if len(absent) > NAMES_SHOWN else ""
        log.info("%d of %d classes have no picture here: %s", len(absent), samples.num_classes, shown)
    counts = data.format == "list" and not is_table(data[f"{split}_list"] or "")
    if is_other and counts and not data.class_map and not has_plain_names(source.class_names):
        shown = ", ".join(f"{label} {name}" for label, name in enumerate(source.class_names[:NAMES_SHOWN]))
        log.info("labels of the list count the model's classes: %s, ... data.class_map=<file> says otherwise", shown)
    return samples


def labelled_samples(source: Source, given: Iterable[str]) -> tuple[Samples, Samples]:
    """Samples of training and of validation under the classes of the data, whatever those of the model are.

    Raises:
        UserError: see ``evaluation_samples``.
    """
    data, channels = source.config.data.copy(), channels_of(source.config.transform)
    _settle_division(data, "val", set(given))
    train = read_samples(data, "train", None, channels=channels)
    return train, read_samples(data, "val", None, train.class_names, channels=channels)


def _settle_division(data: DictConfig, split: str, given: set[str]) -> bool:
    """Whether the data is other than the run's, which need not be divided as that was."""
    is_other = not given.isdisjoint(OTHER_DATA)
    if is_other and data.val_share and "data.val_share" not in given:
        data.val_share = _undivided(data, split, "data.val_share", data.val_share)
    if is_other and data.folds and "data.folds" not in given:
        data.folds = data.fold = _undivided(data, split, "data.folds", data.folds)
    return is_other


def _undivided(data: DictConfig, split: str, key: str, value: float) -> None:
    """No share, where the other data is divided; the run's may be meant where it is not."""
    if has_split(data.format, data.root, data.val_list, split, store_of(data)):
        return None
    raise UserError(
        f"The run took a share of its pictures for validation ({key}={value}), and you name other "
        f"ones. Add {key}={value} for the same share, if they are the run's own in another place, "
        f"or {key}=null for all, if they are new to it."
    )
