"""How the network of another library's weights sees images becomes how the model of a configuration does."""

import os
from collections.abc import Collection
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from imgcls.errors import UserError
from imgcls.models.registry import catalogue, model_info
from imgcls.run.logs import log
from imgcls.weights.hub import FILES, Seen, fetch_from_hub, is_hub_name, seen_by

KEYS = ("input_size", "resize_size", "interpolation", "mean", "std")


def as_its_weights_see(config: DictConfig, program: str, given: Collection[str] = ()) -> None:
    """Set ``model.input_size`` and its like to what is written beside the weights, but for what is given.

    Sizes and colours of ``transform`` follow the model's, unless they have values of their own.

    Raises:
        UserError: weights of the hub cannot be had.
    """
    if "model" not in config:
        return
    source = config[program].get("source") if program in config else None
    try:
        seen = seen_of(source or config.model.pretrained, _by_defaults(config.model))
    except UserError:
        if OmegaConf.select(config, "trainer.resume") is None:
            raise
        return  # a run that goes on has its weights in its checkpoint, and this in its record
    if seen is None:
        return
    for key, value in zip(KEYS, (seen.size, seen.resize_size, seen.interpolation, seen.mean, seen.std), strict=True):
        if value is not None and f"model.{key}" not in given:
            config.model[key] = list(value) if isinstance(value, tuple) else value


def seen_of(pretrained: object, said: str | None) -> Seen | None:
    """What is written beside weights of how their network sees images; ``None`` where that is nothing of its own."""
    if not isinstance(pretrained, str):
        return None
    path = fetch_from_hub(pretrained) if is_hub_name(pretrained) else Path(os.path.expanduser(pretrained))
    path = next((path / name for name in FILES if (path / name).is_file()), path)
    return seen_by(path, said)


def _by_defaults(model: DictConfig) -> str | None:
    """Whose defaults may be meant: of a modern network there are its source's own values."""
    info = catalogue().get(str(model.get("name")).lower())
    return None if info is not None and info.modern else model.get("pretrained_from")


def tell_seen(model: DictConfig, peer: str | None) -> None:
    """Say by whose word images are seen as they are, where the weights are a peer's."""
    seen = seen_of(model.pretrained, _by_defaults(model))
    if seen is not None:
        mean, std = (list(values) if values else "the model's" for values in (seen.mean, seen.std))
        log.info(
            "%s: input of %s pixels, short side of %s, interpolation %s, mean %s, std %s, unless the command says "
            "otherwise",
            *(
                seen.said_by,
                seen.size or "the model's",
                seen.resize_size or "the model's",
                seen.interpolation,
                mean,
                std,
            ),
        )
    elif peer == "timm" and not model_info(model.name).modern:
        log.warning(
            "Nothing beside these weights says how their network sees images: the model's own values are taken. "
            "model.pretrained_from=timm takes timm's defaults, a config.json of the hub beside the file its own."
        )
