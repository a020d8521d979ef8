"""``inference.yaml``: all that a client must know to use an exported model, and whether its files are whole."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from imgcls.data.choices import INTERPOLATIONS, RESAMPLINGS
from imgcls.data.formats.class_names import class_name, default_class_names, read_class_map
from imgcls.data.paths import printable
from imgcls.data.pictures.channels import DEPTHS, RGB, Channels
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.size import as_size, in_words, plain, sides
from imgcls.deploy.choices import ACTIVATIONS, LAYOUTS, OUTPUTS
from imgcls.errors import UserError, listed
from imgcls.machine.files import sha256
from imgcls.machine.limits import IMAGE_SIDE
from imgcls.machine.reading import read_yaml
from imgcls.machine.text import whole_characters

FILE = "inference.yaml"
NAME = "inference"
"""Of the model files, without their suffixes."""

PARAMETERS = f"{NAME}.pdiparams"
MODEL_FILES = (f"{NAME}.pdmodel", PARAMETERS)
PIR_FILES = (f"{NAME}.json", PARAMETERS)
ONNX_FILES = (f"{NAME}.onnx",)
OPENVINO_FILES = (f"{NAME}.xml", f"{NAME}.bin")
FILES = {"paddle": MODEL_FILES, "pir": PIR_FILES, "onnx": ONNX_FILES, "openvino": OPENVINO_FILES}
"""Model files of each kind of graph: of PaddlePaddle 2, of PaddlePaddle 3, and of others."""

FORMAT, FORMAT_OF_TAGS = 1, 2
"""The second is that of graphs whose images have any number of classes: who does not know of them must not read it."""

CROPS = {"crop": "center", "letterbox": "letterbox", "stretch": "stretch"}
"""The word of the file for each of ``FITS``; who does not know the later ones must not read such an export."""

MOST_CHANNELS = 1024
LARGEST = 1e6  # of what a value in 0 to 1 is shifted and divided by
ADVICE = "Export the model again."


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What goes into an exported graph and what comes out of it.

    An image goes through ``preprocessing``; its ``size`` is ``image_size`` in the file, its ``fit`` is ``crop``. A
    ``float`` graph takes ``(image / 255 - mean) / std`` as float32 ``[N, C, H, W]``; a ``uint8`` graph takes the bytes,
    ``[N, H, W, C]``, and normalises by itself. Only exports of other channels than RGB of 8 bits say so in the file.

    Args:
        input: a key of ``LAYOUTS``.
        output: one of ``OUTPUTS``: float32 ``[N, len(class_names)]``, or for ``features`` the last
            feature map averaged over its area, ``[N, num_features]``.
        dynamic_size: whether the graph takes images of any height and width; the preprocessing's size is
            then what the network was made for.
        source: where the weights came from.
        source_sha256: of that file, where it is one.
        sha256: of the model files, by name; the names tell the kinds of graphs apart.
        versions: of what wrote the export, by its name; ``paddle`` is the one whose program it is.
        date: of the export, ISO 8601.
        quantization: what int8 cost, see ``int8.quantize``; ``None`` for a graph in float.
        class_names: in order of the columns; none for ``features``.
        activation: one of ``ACTIVATIONS``: ``sigmoid`` where an image has any number of classes.
        thresholds: from which probability each of these is taken, where they were tuned.
    """

    model: str
    input: str
    preprocessing: Preprocessing
    output: str
    dynamic_size: bool = False
    source: str | None = None
    source_sha256: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    quantization: Mapping[str, Any] | None = None
    class_names: tuple[str, ...]
    activation: str = "softmax"
    thresholds: tuple[float, ...] | None = None

    @property
    def graph(self) -> str:
        """The kind of graph: a key of ``FILES``."""
        return next(kind for kind, names in FILES.items() if set(self.sha256) == set(names))

    @property
    def writer(self) -> str:
        """The Paddle that wrote the export, in words."""
        return (
            f"PaddlePaddle {self.versions['paddle']}"
            if "paddle" in self.versions
            else "a PaddlePaddle it does not name"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of one image of the preprocessing's size as the graph takes it."""
        height, width, channels = self.preprocessing.image_shape
        return (height, width, channels) if self.input == "uint8" else (channels, height, width)


def model_files(directory: Path) -> tuple[str, ...]:
    """Those of ``FILES`` that Paddle has just written into ``directory``."""
    return next(names for names in FILES.values() if all((directory / name).is_file() for name in names))


def is_export(directory: str | Path) -> bool:
    """Whether ``directory`` is an export, whole or damaged: it holds an ``inference.yaml``."""
    return (Path(directory) / FILE).is_file()


def require_characters(directory: str | Path) -> None:
    """Refuse a directory that no engine could open a file in.

    Raises:
        UserError: its name, with all above it, is not UTF-8.
    """
    where = os.path.abspath(directory)
    if whole_characters(where) != where:
        raise UserError(
            f"{printable(where)}: this name is not UTF-8, and the engines of exports open files of no other names. "
            "Choose another directory, or rename this one."
        )


def write_contract(contract: Contract, directory: Path) -> None:
    """Write ``inference.yaml`` into ``directory``."""
    text = yaml.safe_dump(_as_mapping(contract), sort_keys=False, allow_unicode=True, width=120)
    (directory / FILE).write_text(text, encoding="utf-8")


def read_contract(directory: str | Path) -> Contract:
    """Read ``inference.yaml`` and check every value of it.

    Raises:
        UserError: it is missing, not YAML, of another format, or values make no sense (all are named).
    """
    path = Path(directory) / FILE
    require_characters(directory)
    try:
        content = read_yaml(path)
    except UserError as error:
        raise UserError(f"{error} {'Is this an export directory?' if not path.is_file() else ADVICE}") from error
    formats = (FORMAT, FORMAT_OF_TAGS)
    if type(content.get("format")) is not int or content["format"] not in formats:
        has = _shown(content.get("format"))
        raise UserError(f"{path} has format {has}; this version of imgcls reads format {FORMAT} and {FORMAT_OF_TAGS}.")
    problems = [
        f"{key} is missing" if key not in content else f"{key} is {_shown(content[key])}, expected {expected}"
        for key, (is_right, expected) in RULES.items()
        if (key not in content and key not in OPTIONAL) or not is_right(content.get(key, OPTIONAL.get(key)))
    ]
    problems = problems or list(_contradictions(content))
    if problems:
        raise UserError(f"{path} makes no sense: {listed(problems, separator='; ')}. {ADVICE}")
    return _from_mapping(content)


def unrecorded_class_names(class_map: str | None, num_classes: int | None) -> tuple[str, ...]:
    """Names for weights that come without: of a class map, or the defaults for their number (ImageNet's if unknown)."""
    return read_class_map(class_map) if class_map else default_class_names(num_classes or 1000)


def require_replaceable(directory: Path) -> None:
    """Refuse a place that holds anything but an export, or could not be read there.

    Raises:
        UserError: it is a file, or a directory with other content; see ``require_characters``.
    """
    require_characters(directory)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file. Choose another export.dir.")
    content = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    others = sorted(content.difference((FILE,), *FILES.values()))
    if others or (content and FILE not in content):
        raise UserError(
            f"{directory} is left alone: it holds {listed(others) or 'model files'} and is no export of this "
            "library. Choose another export.dir."
        )


def verify_files(directory: str | Path, contract: Contract) -> None:
    """Compare the model files with the sha256 that the contract holds.

    Raises:
        UserError: naming the file that is missing or differs.
    """
    for name, expected in contract.sha256.items():
        path = Path(directory) / name
        if not path.is_file():
            raise UserError(f"{path} is missing: the export is not whole. {ADVICE}")
        try:
            found = sha256(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
        if found != expected:
            raise UserError(f"{path} is damaged or of another export: its sha256 is not the one in {FILE}. {ADVICE}")


def _as_mapping(contract: Contract) -> dict[str, Any]:
    """The keys of the file, in its order."""
    seen = contract.preprocessing
    return {
        "format": FORMAT if contract.activation == "softmax" else FORMAT_OF_TAGS,
        "model": contract.model,
        "input": contract.input,
        "layout": LAYOUTS[contract.input],
        "channel_order": seen.channels.order,
        **({} if seen.channels.are_usual else {"channels": seen.channels.count, "depth": seen.channels.depth}),
        "image_size": plain(seen.size),
        "resize_size": seen.resize_size,
        "interpolation": seen.interpolation,
        "resampling": seen.resampling,
        "jpeg_reductions": list(seen.jpeg_reductions),
        "crop": CROPS[seen.fit],
        "mean": list(seen.mean),
        "std": list(seen.std),
        "output": contract.output,
        "dynamic_size": contract.dynamic_size,
        "source": contract.source,
        "source_sha256": contract.source_sha256,
        "sha256": dict(contract.sha256),
        "versions": dict(contract.versions),
        "date": contract.date,
        **({} if contract.quantization is None else {"quantization": dict(contract.quantization)}),
        "class_names": list(contract.class_names),
        **_of_tags(contract),
    }


def _of_tags(contract: Contract) -> dict[str, Any]:
    """Keys of graphs whose images have any number of classes; the others' files stay what they were."""
    if contract.activation == "softmax":
        return {}
    thresholds = None if contract.thresholds is None else list(contract.thresholds)
    return {"activation": contract.activation, "thresholds": thresholds}


def _from_mapping(content: Mapping[str, Any]) -> Contract:
    own = {entry.name for entry in fields(Contract)} - {"preprocessing", "class_names", "thresholds"}
    known = {key: value for key, value in content.items() if key in own}
    if content.get("thresholds") is not None:
        known["thresholds"] = tuple(map(float, content["thresholds"]))
    class_names = tuple(map(class_name, content["class_names"]))
    return Contract(preprocessing=_preprocessing(content), class_names=class_names, **known)


def _preprocessing(content: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing(
        size=as_size(content["image_size"]),
        fit=next(fit for fit, crop in CROPS.items() if crop == content["crop"]),
        resize_size=content["resize_size"],
        interpolation=content["interpolation"],
        resampling=content.get("resampling", OPTIONAL["resampling"]),
        mean=tuple(content["mean"]),
        std=tuple(content["std"]),
        depth=content.get("depth", OPTIONAL["depth"]),
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _contradictions(content: dict[str, Any]) -> Iterator[str]:
    seen, shrinks = _preprocessing(content), content["jpeg_reductions"]
    channels = Channels(content.get("channels", OPTIONAL["channels"]), seen.depth)
    for key in ("mean", "std"):
        if len(content[key]) != channels.count:
            yield f"{key} is {_shown(content[key])}, expected {channels.count} numbers, one for each channel"
            return
    if shrinks != list(seen.jpeg_reductions):
        yield f"jpeg_reductions is {_shown(shrinks)}, but {list(seen.jpeg_reductions)} with {seen.resampling}'s pixels"
    if content["channel_order"] != channels.order:
        yield f"channel_order is {content['channel_order']}, but that of {channels.count} channels is {channels.order}"
    if not channels.are_usual and seen.resampling == "opencv":
        yield f"resampling is opencv, which is for RGB of 8 bits, not for {channels}"
    if content["input"] == "uint8" and channels.depth != 8:
        yield f"depth is {channels.depth}, but a graph for uint8 takes 8 bits"
    layout, wanted = content["layout"], LAYOUTS[content["input"]]
    if layout != wanted:
        yield f"layout is {layout}, but that of a graph for {content['input']} is {wanted}"
    if seen.resize_size < min(sides(seen.size)):
        yield f"resize_size is {seen.resize_size}, less than the image_size of {in_words(seen.size)}"
    activation, thresholds = content.get("activation", "softmax"), content.get("thresholds")
    if (activation == "sigmoid") != (content["format"] == FORMAT_OF_TAGS):
        yield f"activation is {activation}, which format {content['format']} has not"
    if thresholds is not None and len(thresholds) != len(content["class_names"]):
        yield f"there are {len(thresholds)} thresholds for {len(content['class_names'])} class_names"
    if bool(content["class_names"]) == (content["output"] == "features"):
        yield f"output is {content['output']}, but there are {len(content['class_names'])} class_names"


def _one_of(*choices: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in choices, " or ".join(choices)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))


def _is_mapping_or_none(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _is_size(value: object) -> bool:
    return type(value) is int and 1 <= value <= IMAGE_SIDE


def _is_one_size_or_two(value: object) -> bool:
    return _is_size(value) or (isinstance(value, list) and len(value) == 2 and all(map(_is_size, value)))


def _are_thresholds(value: object) -> bool:
    is_list = isinstance(value, list) and all(type(number) in (int, float) and 0 <= number <= 1 for number in value)
    return value is None or is_list


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_colours(value: object) -> bool:
    is_list = isinstance(value, list) and 1 <= len(value) <= MOST_CHANNELS
    return is_list and all(type(number) in (int, float) and -LARGEST <= number <= LARGEST for number in value)


def _are_positive_colours(value: object) -> bool:
    return _are_colours(value) and min(value) > 0


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= MOST_CHANNELS


def _is_depth(value: object) -> bool:
    return type(value) is int and value in DEPTHS


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(number) is int for number in value)


def _are_digests(value: object) -> bool:
    if not isinstance(value, dict) or set(value) not in map(set, FILES.values()):
        return False
    return all(_is_text(digest) and re.fullmatch("[0-9a-f]{64}", digest) for digest in value.values())


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model": (_is_text, "a name"),
    "input": _one_of(*LAYOUTS),
    "layout": _one_of(*LAYOUTS.values()),
    "channel_order": _one_of(*(Channels(count).order for count in range(1, 6))),
    "channels": (_is_count, f"a number up to {MOST_CHANNELS}"),
    "depth": (_is_depth, " or ".join(map(str, DEPTHS))),
    "image_size": (_is_one_size_or_two, f"a number of pixels up to {IMAGE_SIDE}, or two: height and width"),
    "resize_size": (_is_size, f"a number of pixels up to {IMAGE_SIDE}"),
    "interpolation": _one_of(*INTERPOLATIONS),
    "resampling": _one_of(*RESAMPLINGS),
    "jpeg_reductions": (_are_numbers, "a list of numbers"),
    "crop": _one_of(*CROPS.values()),
    "mean": (_are_colours, "a number for each channel"),
    "std": (_are_positive_colours, "a positive number for each channel"),
    "output": _one_of(*OUTPUTS),
    "dynamic_size": (_is_switch, "true or false"),
    "sha256": (_are_digests, f"the sha256 of {' or of '.join(' and '.join(names) for names in FILES.values())}"),
    "source": (_is_text_or_none, "a text"),
    "source_sha256": (_is_text_or_none, "a text"),
    "versions": (_are_texts, "names and versions"),
    "date": (_is_text, "a text"),
    "quantization": (_is_mapping_or_none, "names and values"),
    "class_names": (_are_names, "a list of texts"),
    "activation": _one_of(*ACTIVATIONS),
    "thresholds": (_are_thresholds, "numbers in 0 to 1"),
}
"""Check of each key's value, and what is expected in words."""

OPTIONAL = {
    "channels": RGB.count,
    "depth": RGB.depth,
    "resampling": "pillow",
    "dynamic_size": False,
    "source": None,
    "source_sha256": None,
    "versions": {},
    "date": "",
    "quantization": None,
    "activation": "softmax",
    "thresholds": None,
}
"""Keys that may be left out, and what that means."""
