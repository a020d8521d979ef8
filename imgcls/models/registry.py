"""Model names: what exists, what is known of each, and how a name becomes a network.

Facts are data (``models/catalogue.csv``) and are read without importing Paddle. The family module
a row names is imported when a network is built; its ``VARIANTS`` table holds the architecture.
"""

import csv
import fnmatch
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcls.errors import UserError, close_matches
from imgcls.machine.installation import require_paddle

if TYPE_CHECKING:
    import paddle

WEIGHTS_HOST = "https://paddle-imagenet-models-name.bj.bcebos.com/"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ARGUMENT_TYPES = {bool: bool, int: Integral, float: Real, str: str}
"""What is taken for an argument of each simple type."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of one model without building it.

    ``bundled`` says that ImageNet weights ship with this package.
    ``top1`` and ``top5`` are the percentages its authors published for ImageNet validation, not
    measured here. ``params`` counts trainable elements, ``macs`` the multiplications of
    convolutions and fully connected layers for one image of ``input_size``.
    """

    name: str
    published_name: str
    family: str
    module: str
    published: bool
    input_size: int
    resize_size: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    params: int
    macs: int
    top1: float | None
    top5: float | None
    weights_url: str | None
    bundled: bool


@cache
def catalogue() -> dict[str, ModelInfo]:
    """Every model by canonical name, in natural order."""
    with (Path(__file__).parent / "catalogue.csv").open(newline="") as file:
        infos = [_info(row) for row in csv.DictReader(file)]
    return {info.name: info for info in sorted(infos, key=lambda info: _natural(info.name))}


def list_models(pattern: str = "*", published: bool | None = None) -> list[str]:
    """Model names matching a shell-style ``pattern`` (case ignored), in natural order.

    Args:
        pattern: for instance ``"resnet*_vd"``.
        published: ``True`` for models with published weights, ``False`` for the others.
    """
    return [
        name
        for name, info in catalogue().items()
        if fnmatch.fnmatchcase(name, pattern.lower()) and published in (None, info.published)
    ]


def model_info(name: str) -> ModelInfo:
    """Facts about one model; ``name`` in any case.

    Raises:
        UserError: there is no such model; the message holds close matches.
    """
    info = catalogue().get(str(name).lower())
    if info is None:
        raise UserError(
            f"There is no model '{name}'.{close_matches(str(name).lower(), catalogue())} "
            "imgcls.list_models() gives all names."
        )
    return info


def build_model(name: str, num_classes: int = 1000, data_format: str = "NCHW", **overrides: Any) -> "paddle.nn.Layer":
    """A network by name, with fresh weights.

    Args:
        name: canonical or published name, case ignored (``"resnet50_vd"``, ``"ResNet50_vd"``).
        num_classes: width of the last layer.
        data_format: of the feature maps inside the network; ``NHWC`` is the faster one in float16 on
            tensor cores. Images, features, logits and weights are the same in both.
        **overrides: arguments of the family's network class, in place of the variant's.

    Returns:
        A layer whose ``forward`` takes float32 ``[N, 3, H, W]`` and returns raw logits
        ``[N, num_classes]``.

    Raises:
        UserError: unknown model, override or data format; an impossible value.
    """
    info = model_info(name)
    require_paddle()
    build = importlib.import_module(f"imgcls.models.{info.module}").VARIANTS[info.name]
    _require_arguments(info.name, build, {"num_classes": num_classes, **overrides})
    try:
        network = build(num_classes=num_classes, **overrides)
        network.set_data_format(data_format)
    except UserError as error:
        raise UserError(f"{info.name}: {error}") from error
    return network


def _require_arguments(model: str, build: Callable, arguments: dict[str, Any]) -> None:
    """Check arguments to be among those of ``build``, and numbers and texts where it wants them."""
    annotations = {key: parameter.annotation for key, parameter in inspect.signature(build).parameters.items()}
    for key, value in arguments.items():
        if key not in annotations:
            known = [name for name in annotations if name != "num_classes"]
            raise UserError(
                f"{model} takes no argument '{key}'.{close_matches(key, known)} It takes: {', '.join(known)}."
            )
        if not isinstance(value, ARGUMENT_TYPES.get(annotations[key], object)):
            raise UserError(f"{model}: {key}={value!r} is no {annotations[key].__name__}.")
    if arguments["num_classes"] < 1:
        raise UserError(f"{model}: num_classes={arguments['num_classes']} is not possible. Take one above 0.")


def _info(row: dict[str, str]) -> ModelInfo:
    return ModelInfo(
        name=row["published_name"].lower(),
        published_name=row["published_name"],
        family=row["family"],
        module=row["module"],
        published=row["published"] == "yes",
        input_size=int(row["input_size"]),
        resize_size=int(row["resize_size"]),
        interpolation=row["interpolation"],
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        params=int(row["params"]),
        macs=int(row["macs"]),
        top1=float(row["top1"]) if row["top1"] else None,
        top5=float(row["top5"]) if row["top5"] else None,
        weights_url=WEIGHTS_HOST + row["weights_file"] if row["weights_file"] else None,
        bundled=row["bundled"] == "yes",
    )


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which resnet18 comes before resnet101."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]
