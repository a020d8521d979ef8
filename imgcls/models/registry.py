"""Model names: what exists, what is known of each, and how a name becomes a network.

Facts are data (``models/catalogue.csv``) and are read without importing Paddle. The family module
a row names is imported when a network is built; its ``VARIANTS`` table holds the architecture.
``register_model`` adds networks of the user's own to them.
"""

import csv
import fnmatch
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imgcls.errors import UserError, close_matches, listed
from imgcls.machine.installation import require_paddle
from imgcls.machine.limits import ARGUMENT

if TYPE_CHECKING:
    import paddle

WEIGHTS_HOST = "https://paddle-imagenet-models-name.bj.bcebos.com/"
PUBLISHED = "published"
"""In place of names: the models of the original whose weights were published."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ARGUMENT_TYPES = {bool: bool, int: Integral, float: Real, str: str}
"""What is taken for an argument of each simple type."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of one model without building it.

    ``bundled`` says that ImageNet weights ship with this package. ``weights_sha256`` is what the file
    behind ``weights_url`` must have, where that is known for certain.
    ``top1`` and ``top5`` are the percentages its authors published for ImageNet validation, not
    measured here. ``params`` counts trainable elements, ``macs`` the multiplications of
    convolutions and fully connected layers for one image of ``input_size``; of a user's own network
    both may be unknown.

    A *modern* network is one that the original did not have: ``source`` is where its weights are, such as
    ``timm/convnext_tiny.in12k_ft_in1k`` on the Hugging Face hub, and ``licence`` theirs; the accuracies are that
    source's, measured on images of ``measured_size`` pixels.
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
    params: int | None
    macs: int | None
    top1: float | None
    top5: float | None
    weights_url: str | None
    weights_sha256: str | None
    bundled: bool
    source: str | None = None
    licence: str | None = None
    measured_size: int | None = None

    @property
    def modern(self) -> bool:
        return self.source is not None


class OwnModel(NamedTuple):
    """A user's network: what is known of it, and the function that makes it."""

    info: ModelInfo
    build: Callable[..., "paddle.nn.Layer"]


_own: dict[str, OwnModel] = {}


def catalogue() -> dict[str, ModelInfo]:
    """Every model by canonical name, in natural order."""
    if not _own:
        return shipped()
    infos = {**shipped(), **{name: own.info for name, own in _own.items()}}
    return {name: infos[name] for name in sorted(infos, key=_natural)}


@cache
def shipped() -> dict[str, ModelInfo]:
    """The models of this library, likewise."""
    with (Path(__file__).parent / "catalogue.csv").open(newline="", encoding="utf-8") as file:
        infos = [_info(row) for row in csv.DictReader(file)]
    return {info.name: info for info in sorted(infos, key=lambda info: _natural(info.name))}


def list_models(pattern: str = "*", published: bool | None = None, modern: bool | None = None) -> list[str]:
    """Model names matching a shell-style ``pattern`` (case ignored), in natural order.

    Args:
        pattern: for instance ``"resnet*_vd"``.
        published: ``True`` for models with published weights, ``False`` for the others.
        modern: ``True`` for the networks that the original did not have, ``False`` for the others.

    Raises:
        UserError: the pattern is no text.
    """
    if not isinstance(pattern, str):
        raise UserError(f"{pattern!r} is no pattern: give one text, such as 'resnet*_vd'.")
    return [
        name
        for name, info in catalogue().items()
        if fnmatch.fnmatchcase(name, pattern.lower())
        and published in (None, info.published)
        and modern in (None, info.modern)
    ]


def named(words: Iterable[str]) -> list[str]:
    """Model names for names, patterns and ``published``, which stands for all with published weights.

    Raises:
        UserError: a word stands for none.
    """
    names: dict[str, None] = {}
    for word in words:
        found = list_models(published=True) if word.lower() == PUBLISHED else list_models(word)
        if not found:
            advice = close_matches(word.lower().strip("*"), [*list_models(), PUBLISHED])
            raise UserError(f"there is no model '{word}'.{advice}")
        names.update(dict.fromkeys(found))
    return list(names)


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
    from imgcls.models.checks import require_methods

    own = _own.get(info.name)
    build = own.build if own else importlib.import_module(f"imgcls.models.{info.module}").VARIANTS[info.name]
    _require_arguments(info.name, build, {"num_classes": num_classes, **overrides})
    try:
        network = build(num_classes=num_classes, **overrides)
        if own:
            _adopt(network)
        if data_format != "NCHW" or hasattr(network, "set_data_format"):
            require_methods(network, f"model.data_format={data_format}", "set_data_format")
            network.set_data_format(data_format)
    except UserError as error:
        raise UserError(f"{info.name}: {error}") from error
    return network


def register_model(
    name: str,
    build: Callable[..., "paddle.nn.Layer"],
    *,
    family: str = "own",
    input_size: int = 224,
    resize_size: int | None = None,
    interpolation: str = "linear",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    params: int | None = None,
    macs: int | None = None,
    top1: float | None = None,
    top5: float | None = None,
    weights_url: str | None = None,
    weights_sha256: str | None = None,
) -> None:
    """Make a network of your own one of the models, in this process.

    What is asked of it is a ``paddle.nn.Layer`` whose ``forward`` takes float32 ``[N, 3, H, W]`` and returns
    raw logits ``[N, num_classes]``; in training a tuple of them where there are auxiliary heads. Features,
    Grad-CAM, channels-last and another last layer under trained weights need the methods of
    ``imgcls.models.layers.Network``.

    Args:
        name: letters, digits, ``_`` and ``-``; case is ignored where it is looked up.
        build: called as ``build(num_classes=..., **model.args)``; the network's class will do.
        input_size: side of the images in pixels.
        resize_size: length of their short side before evaluation cuts out the centre; in the proportion
            of 256 to 224 when left out.
        interpolation, mean, std: how images are resized, and normalised.
        family, params, macs, top1, top5: shown by ``python -m imgcls.models``.
        weights_url: of a tar of weights, one file a tensor, as the published ones are.
        weights_sha256: of that file; another one is thrown away.

    Raises:
        UserError: there is such a model already, or the name, ``build`` or a fact cannot be.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", str(name)):
        raise UserError(f"A model cannot be called {name!r}. Take letters, digits, _ and -, beginning with a letter.")
    key = name.lower()
    _require_free(key, build)
    _require_build(key, build)
    _require_facts(key, mean, std, input_size=input_size, resize_size=1 if resize_size is None else resize_size)
    if not isinstance(weights_url, str | None):
        raise UserError(f"{name}: weights_url={weights_url!r} is no address.")
    if weights_sha256 is not None and not re.fullmatch("[0-9a-f]{64}", str(weights_sha256)):
        raise UserError(f"{name}: weights_sha256={weights_sha256!r} is no sha256: give its 64 hexadecimal digits.")
    info = ModelInfo(
        name=key,
        published_name=name,
        family=family,
        module=_module(build),
        published=False,
        input_size=input_size,
        resize_size=round(input_size * 256 / 224) if resize_size is None else resize_size,
        interpolation=interpolation,
        mean=tuple(mean),
        std=tuple(std),
        params=params,
        macs=macs,
        top1=top1,
        top5=top5,
        weights_url=weights_url,
        weights_sha256=weights_sha256,
        bundled=False,
    )
    _own[key] = OwnModel(info, build)


def _require_facts(model: str, mean: Any, std: Any, **sizes: Any) -> None:
    for fact, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{model}: {fact}={value!r} is no number of pixels.")
    for fact, values in (("mean", mean), ("std", std)):
        numbers = isinstance(values, tuple | list) and all(isinstance(one, Real) and isfinite(one) for one in values)
        if not numbers or len(values) != 3 or (fact == "std" and min(values) <= 0):
            raise UserError(f"{model}: {fact}={values} is not possible. Give three numbers, one for each colour.")


def _require_free(name: str, build: Callable) -> None:
    """A function of the same place in a source, as of a notebook's cell that is run again, takes its own place."""
    if name in shipped():
        raise UserError(f"This library has a model '{name}' already. Call yours something else.")
    place = _place(build)
    if name in _own and (place is None or _place(_own[name].build) != place):
        raise UserError(f"A model '{name}' was registered already, in {_own[name].info.module}. Take another name.")


def _place(build: Callable) -> tuple[str, str] | None:
    name = getattr(build, "__qualname__", "<lambda>")
    return None if "<lambda>" in name else (_module(build), name)


def _module(build: Callable) -> str:
    return getattr(build, "__module__", None) or type(build).__module__


def _require_build(model: str, build: Any) -> None:
    paddle = sys.modules.get("paddle")
    if not callable(build) or (paddle and isinstance(build, paddle.nn.Layer)):
        raise UserError(
            f"{model}: what makes the network must be a function or a class, not a {type(build).__name__}. It is "
            "called as build(num_classes=...) and returns a paddle.nn.Layer."
        )
    try:
        takes = "num_classes" in inspect.signature(build).parameters or _takes_any(build)
    except ValueError:  # of what is written in C
        takes = False
    if not takes:
        raise UserError(f"{model}: its build takes no argument num_classes, the width of the last layer.")


def _takes_any(build: Callable) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(build).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def _adopt(network: Any) -> None:
    """Make of a layer what the library takes for granted: tensors whose names are the same in every process."""
    import paddle

    from imgcls.models.layers import Network

    if not isinstance(network, paddle.nn.Layer):
        raise UserError(f"what its build returned is no paddle.nn.Layer but a {type(network).__name__}.")
    if not isinstance(network, Network):
        for key, tensor in network.state_dict().items():
            tensor.name = key


def _require_arguments(model: str, build: Callable, arguments: dict[str, Any]) -> None:
    """Check arguments to be among those of ``build``, and numbers and texts where it wants them."""
    annotations = {key: parameter.annotation for key, parameter in inspect.signature(build).parameters.items()}
    for key, value in arguments.items():
        if key not in annotations:
            if _takes_any(build):
                continue
            known = [name for name in annotations if name != "num_classes"]
            raise UserError(
                f"{model} takes no argument '{key}'.{close_matches(key, known)} It takes: {listed(known) or 'none'}."
            )
        wanted = ARGUMENT_TYPES.get(annotations[key], object)
        if not isinstance(value, wanted) or (wanted is Integral and isinstance(value, bool)):
            raise UserError(f"{model}: {key}={value!r} is no {annotations[key].__name__}.")
    if not 1 <= arguments["num_classes"] <= ARGUMENT:
        asked = f"{model}: num_classes={arguments['num_classes']}"
        raise UserError(f"{asked} is not possible. Take one from 1 to {ARGUMENT:,}.")


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
        mean=_three(row["mean"]) or IMAGENET_MEAN,
        std=_three(row["std"]) or IMAGENET_STD,
        params=int(row["params"]),
        macs=int(row["macs"]),
        top1=float(row["top1"]) if row["top1"] else None,
        top5=float(row["top5"]) if row["top5"] else None,
        weights_url=WEIGHTS_HOST + row["weights_file"] if row["weights_file"] else None,
        weights_sha256=row["sha256"] or None,
        bundled=row["bundled"] == "yes",
        source=row["source"] or None,
        licence=row["licence"] or None,
        measured_size=int(row["measured_size"]) if row["measured_size"] else None,
    )


def _three(numbers: str) -> tuple[float, ...]:
    return tuple(map(float, numbers.split()))


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which resnet18 comes before resnet101."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]
