"""Which channels a network is shown: ``model.args.in_channels``, and ``transform.depth`` bits of each."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

USUAL_COUNT, USUAL_DEPTH = 3, 8
COLOURS = ("mean", "std")
KEY = "model.args.in_channels"

NEVER = {"data.backend": "dali", "transform.resampling": "opencv"}
"""What works on red, green and blue of 8 bits alone."""

OF_COLOURS = (
    "transform.color_jitter",
    "transform.autoaugment",
    "transform.randaugment.num_layers",
    "transform.extra",
)
"""Likewise, where it is on."""


def count_of(model: Mapping[str, Any]) -> Any:
    """``model.args.in_channels`` as it is given; three where it is not."""
    arguments = model.get("args")
    count = arguments.get("in_channels") if isinstance(arguments, Mapping | DictConfig) else None
    return USUAL_COUNT if count is None else count


def spread(colours: Sequence[float], count: int) -> list[float]:
    """Values of red, green and blue for so many channels: in turn, and their mean for grey with or without opacity."""
    if count < USUAL_COUNT:
        return [sum(colours) / len(colours)] * count
    return [colours[channel % len(colours)] for channel in range(count)]


def with_colours_of_its_channels(config: DictConfig, given: Collection[str] = ()) -> None:
    """Set ``model.mean`` and ``model.std`` for as many channels as the network has, where those of colours are left.

    Args:
        given: keys that stay as they are.
    """
    if "model" not in config or "mean" not in config.model:
        return
    count = count_of(config.model)
    if type(count) is not int or count < 1 or count == USUAL_COUNT:
        return
    for key in COLOURS:
        if f"model.{key}" not in given and len(config.model[key]) == USUAL_COUNT:
            config.model[key] = spread(config.model[key], count)


def colour_problems(transform: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[str]:
    """Whether means and deviations are those of the network's channels, a sentence for each that is not."""
    count = count_of(model)
    if type(count) is not int or count < 1:
        yield f"{KEY}={count}: must be a whole number, at least 1."
        return
    for key in COLOURS:
        values = transform.get(key)
        if values and len(values) != count:
            each = f"{count} numbers, one for each channel ({KEY}={count})"
            must = "three numbers, for red, green and blue" if count == USUAL_COUNT else each
            yield f"transform.{key}={list(values)}: must be {must}."


def problems(config: DictConfig) -> Iterator[str]:
    """What is wrong with a typed configuration for these channels."""
    if "model" not in config or "data" not in config:
        return
    count = count_of(config.model)
    if "transform" not in config:
        if count != USUAL_COUNT:
            yield f"{KEY}={count}: imgcls.benchmark measures networks for red, green and blue. Leave it out."
        return
    sources = (OmegaConf.select(config, f"{program}.source") for program in ("eval", "predict", "export"))
    if any(source is not None for source in sources):
        return  # whose network it is will be known later
    wrong = list(colour_problems(config.transform, config.model))
    yield from wrong
    depth = config.transform.get("depth")
    if wrong or (count == USUAL_COUNT and depth in (None, USUAL_DEPTH)):
        return
    what = f"{KEY}={count}" if count != USUAL_COUNT else f"transform.depth={depth}"
    for key, value in NEVER.items():
        if OmegaConf.select(config, key) == value:
            yield f"{what}: not with {key}={value}; leave it out."
    if "trainer" not in config:
        return
    for key in OF_COLOURS:
        value = OmegaConf.select(config, key)
        if any(value) if OmegaConf.is_list(value) else value:
            yield f"{what}: {key} changes red, green and blue of 8 bits. Switch it off."
