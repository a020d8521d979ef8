"""Whose pixels a network is shown, ``transform.resampling``: pixels belong to weights.

The accuracies of the original's published networks were measured on images that OpenCV had resized, those
of this library's runs on Pillow's unless they say otherwise.
"""

from pathlib import Path

from omegaconf import DictConfig

from imgcls.data.pictures import opencv
from imgcls.deploy.contract import is_export, read_contract
from imgcls.machine.reading import read_yaml
from imgcls.models.registry import ModelInfo, model_info
from imgcls.run.logs import log
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
    result.transform.resampling = chosen(resampling_of(weights, model_info(config.model.name)), config.data.backend)
    return result


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


def chosen(own: str, backend: str = "pillow") -> str:
    """Whose pixels weights are shown where nobody says: their ``own``, if what that takes is there."""
    can = opencv.is_installed() and backend != "dali"
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
