"""Whether what a command names is there: asked before Paddle is loaded and anything is written."""

import os
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from imgcls.errors import UserError, listed
from imgcls.models.registry import list_models
from imgcls.weights.hub import is_hub_name

SOURCES = {
    "eval.source": "run, checkpoint or weights file",
    "predict.source": "run, checkpoint, weights file or export",
    "export.source": "run, checkpoint or weights file",
    "convert.source": "file or directory of weights",
    "search.source": "directory of predict.output=features, or of imgcls.search build",
}
"""What may stand at the path that a key holds."""

NOTHING = ("none", "no", "off", "false", "0", "nothing", "random", "scratch")
"""Words that people have for null."""


def require_named_files(config: DictConfig) -> DictConfig:
    """Refuse a typed configuration that names what is not there, or lacks a source.

    Raises:
        UserError: with a sentence for each.
    """
    if found := list(_missing(config)):
        raise UserError(listed(found, separator="\n       "))
    return config


def _missing(config: DictConfig) -> Iterator[str]:
    for key, kind in SOURCES.items():
        section, _, name = key.partition(".")
        if section not in config:
            continue
        source = config[section][name]
        if source is not None and is_hub_name(source):
            yield from _weights(source, key)
        elif source is not None and not os.path.exists(source):
            yield f"{key}={source}: there is no such {kind}.{_meant_by(source)}"
        elif source is None:
            yield from _wanted(config, key, kind)
    pretrained = OmegaConf.select(config, "model.pretrained")
    resume = OmegaConf.select(config, "trainer.resume")
    if isinstance(pretrained, str) and resume is None:  # a run that goes on has its weights in its checkpoint
        yield from _weights(pretrained)
    if resume not in (None, "auto"):
        yield from _checkpoint(resume)
    if "data" in config:
        yield from _lists(config)


def _checkpoint(resume: str) -> Iterator[str]:
    """A checkpoint to go on from; a run is none."""
    if not os.path.isdir(resume):
        advice = (
            "Leave it out to begin anew." if resume.lower() in NOTHING else "Write auto for the newest of run.name."
        )
        yield f"trainer.resume={resume}: there is no such checkpoint directory. {advice}"
    elif os.path.isdir(os.path.join(resume, "checkpoints")):
        root, name = os.path.split(os.path.abspath(resume))
        words = [] if os.path.relpath(root) == "outputs" else [f"run.root={os.path.relpath(root)}"]
        yield (
            f"trainer.resume={resume} is a run. To go on with it write {' '.join([*words, f'run.name={name}'])} "
            f"trainer.resume=auto, or name one of the checkpoints in {os.path.join(resume, 'checkpoints')}."
        )
    elif os.path.isdir(os.path.join(resume, "last")):
        yield f"trainer.resume={resume} holds checkpoints: name one of them, as {os.path.join(resume, 'last')}."


def _meant_by(source: str) -> str:
    if source.lower() in list_models():
        return f" For the published weights of that network write model={source} model.pretrained=true."
    return " Download it first, and name the file." if "://" in source else ""


def _wanted(config: DictConfig, key: str, kind: str) -> Iterator[str]:
    """Without a source there must be weights, and for an evaluation pictures of their classes."""
    published = "Without it the published weights are taken"
    if config.model.pretrained is None:
        yield (
            f"No weights are given for {config.model.name}: its answers would be noise. Name a {kind}, such as "
            f"{key}=outputs/first, or set model.pretrained."
        )
    elif key != "eval.source" or config.eval.knn:  # neighbours have the classes of the pictures
        return
    elif config.model.pretrained is True and config.data.format == "sample":
        yield f"{key} is required: name a {kind}, such as {key}=outputs/first. {published}, for ImageNet's classes."


def _weights(pretrained: str, key: str = "model.pretrained") -> Iterator[str]:
    from imgcls.weights.source import locate_weights  # takes NumPy, which most commands are checked without

    try:
        locate_weights(pretrained)
    except UserError as error:
        yield f"{key}={pretrained}: {error}{_advice(pretrained)}"


def _advice(pretrained: str) -> str:
    if pretrained.lower() in NOTHING:
        return " For random weights write model.pretrained=null."
    if "://" in pretrained:
        return " Download the file first, and name it."
    return "" if "/" in pretrained else " For the published weights write model.pretrained=true."


def _lists(config: DictConfig) -> Iterator[str]:
    data = config.data
    if data.class_map is not None and not os.path.isfile(data.class_map):
        yield f"data.class_map={data.class_map}: there is no such file."
    if data.format != "list" or data.root is None or not os.path.isdir(data.root):
        return
    splits = ("train", "val") if "eval" not in config or config.eval.knn else (config.eval.split,)
    if data.split_column or data.folds:
        splits = ("train",)  # which holds all
    elif data.val_list == "val_list.txt" and (data.val_share or OmegaConf.select(config, "trainer.eval_every") == 0):
        splits = tuple(split for split in splits if split != "val")  # it is divided, or nothing is evaluated
    for split in splits:
        given = data[f"{split}_list"]
        if given and not any(path.is_file() for path in (Path(given), Path(data.root, given))):
            where = "here" if os.path.samefile(data.root, ".") else f"here and in {data.root}"
            yield f"data.{split}_list={given}: there is no such file {where}."
