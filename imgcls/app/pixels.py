"""Whose pixels a network is shown, ``transform.resampling``: pixels belong to weights.

The accuracies of the original's published networks were measured on images that OpenCV had resized, those
of this library's runs on Pillow's unless they say otherwise.
"""

from pathlib import Path

from omegaconf import DictConfig

from imgcls.data.pictures import opencv
from imgcls.data.pictures.arrays import NPY_SUFFIX
from imgcls.data.pictures.channels import RGB, Channels
from imgcls.deploy.contract import is_export, read_contract
from imgcls.machine.limits import CONFIG_NODES
from imgcls.machine.reading import read_yaml
from imgcls.models.registry import ModelInfo, model_info
from imgcls.run.logs import log
from imgcls.weights.hub import is_hub_name
from imgcls.weights.source import NETWORK_FILE, is_of_the_original, locate_weights

OF_THE_ORIGINAL = "opencv"
USUAL = "pillow"
"""Of random weights, of those that say nothing of their pixels, and of what was made before there was a choice."""

NAMES = {"pillow": "Pillow", "opencv": "OpenCV"}

Weights = bool | str | Path | None
"""As ``model.pretrained``."""


def with_pixels(config: DictConfig, start: Weights = None) -> DictConfig:
    """A configuration that says whose pixels: those of the weights, where it leaves that open.

    Args:
        start: a training checkpoint that the run goes on from, instead of ``model.pretrained``.

    Raises:
        UserError: the weights are not there.
    """
    if config.transform.resampling is not None:
        return config
    result = config.copy()
    weights = config.model.pretrained if start is None else start
    own = resampling_of(weights, model_info(config.model.name))
    result.transform.resampling = chosen(own, config.data.backend, channels_of(config.transform))
    return result


def channels_of(transform: DictConfig) -> Channels:
    """Of the images that a network is shown."""
    return Channels.of(len(transform.mean), transform.get("depth"))


def tell_channels(transform: DictConfig) -> None:
    """Say which channels it is shown, where they are not red, green and blue of 8 bits."""
    channels = channels_of(transform)
    if not channels.are_usual:
        mean, std = ([round(value, 4) for value in values] for values in (transform.mean, transform.std))
        log.info("pictures have %s; mean %s, std %s (transform.mean, transform.std)", channels, mean, std)


def also_images(transform: DictConfig, source: str | None) -> tuple[bytes, ...]:
    """Endings of files that are pictures for the network of a prediction, beside the usual ones.

    What a source says of itself is looked up here and checked later.
    """
    channels = channels_of(transform)
    if source is not None and not is_hub_name(source):
        file = Path(source, "config.yaml")
        if is_export(source):
            channels = read_contract(source).preprocessing.channels
        elif file.is_file():
            recorded = read_yaml(file, CONFIG_NODES).get("transform")
            if isinstance(recorded, dict) and isinstance(recorded.get("mean"), list):
                channels = Channels.of(len(recorded["mean"]), recorded.get("depth"))
    return () if channels.are_usual else (NPY_SUFFIX,)


def resampling_of(weights: Weights, info: ModelInfo) -> str:
    """Whose pixels weights were made with, as far as that can be known.

    Raises:
        UserError: they are not there.
    """
    if not weights:
        return USUAL
    if weights is True:
        return OF_THE_ORIGINAL if info.published and not info.bundled else USUAL
    path = locate_weights(weights)
    if path.name == NETWORK_FILE:
        return recorded(path.with_name("config.yaml"))
    if is_export(path):
        return read_contract(path).preprocessing.resampling
    return OF_THE_ORIGINAL if is_of_the_original(path) else USUAL


def recorded(file: Path) -> str:
    """What the configuration of a run says."""
    transform = read_yaml(file).get("transform") if file.is_file() else None
    found = transform.get("resampling") if isinstance(transform, dict) else None
    return found if found in NAMES else USUAL


def chosen(own: str, backend: str = "pillow", channels: Channels = RGB) -> str:
    """Whose pixels weights are shown where nobody says: their ``own``, if what that takes is there.

    Images of other channels than RGB of 8 bits are resized by Pillow.
    """
    can = opencv.is_installed() and backend != "dali" and channels.are_usual
    return own if own != OF_THE_ORIGINAL or can else USUAL


def tell(resampling: str, own: str) -> None:
    """Say whose pixels it is, and what follows where they are not the weights' own."""
    if resampling == own:
        log.info("pictures are resized by %s (transform.resampling=%s)", NAMES[resampling], resampling)
        return
    advice = "" if opencv.is_installed() else 'pip install "imgcls[opencv]", then '
    log.warning(
        "Pictures are resized by %s (transform.resampling=%s), for these weights they were by %s: answers differ a "
        "little, and a published accuracy is not met to the last digit. For their own: %stransform.resampling=%s.",
        *(NAMES[resampling], resampling, NAMES[own], advice if own == OF_THE_ORIGINAL else "", own),
    )
