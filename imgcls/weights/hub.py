"""Weights by a name of the Hugging Face hub, ``hf-hub:timm/resnet50d.ra2_in1k``, and what is written beside them.

The hub's own client downloads and keeps them (extra ``hub``; ``HF_HOME``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are
its variables). Files put by hand below ``$IMGCLS_CACHE/hub`` are used without it.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcls.errors import UserError
from imgcls.machine.cache import cache_directory
from imgcls.machine.limits import IMAGE_SIDE
from imgcls.machine.reading import read_json, shown

PREFIXES = ("hf-hub:", "hf_hub:")
FILES = ("model.safetensors", "pytorch_model.bin")
CONFIG = "config.json"
NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)
INTERPOLATIONS = {"bicubic": "cubic", "bilinear": "linear", "nearest": "nearest", "lanczos": "lanczos", "box": "area"}
TIMM_CROP, TIMM_INTERPOLATION = 0.875, "cubic"
"""What timm takes where a model says nothing."""


@dataclass(frozen=True)
class Seen:
    """How the network of a file was trained to see images; ``None`` for what is not known."""

    size: int | None
    resize_size: int | None
    interpolation: str | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    said_by: str


def is_hub_name(pretrained: str | Path) -> bool:
    return str(pretrained).startswith(PREFIXES)


def fetch_from_hub(name: str) -> Path:
    """The file of weights, its ``config.json`` beside it.

    Args:
        name: ``hf-hub:<owner>/<repository>``, with ``@<revision>`` at its end if it is not to be the newest.

    Raises:
        UserError: there are no such weights, or they cannot be had; then where to put them by hand.
    """
    repository = name.partition(":")[2]
    if not NAME.fullmatch(repository) or ".." in repository:
        raise UserError(f"{name} is no name of the hub. It is written hf-hub:<owner>/<repository>.")
    by_hand = cache_directory() / "hub" / repository
    for file in FILES:
        if (by_hand / file).is_file():
            return by_hand / file
    owner, _, revision = repository.partition("@")
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError:
        raise UserError(
            f"{name} is fetched by the package huggingface_hub: pip install 'imgcls[hub]'. Without it, "
            f"{_advice(by_hand)}"
        ) from None
    try:
        return _download(hub, errors, owner, revision or None)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.GatedRepoError) as error:
        reason = "it needs an account that may read it" if isinstance(error, errors.GatedRepoError) else "there is none"
        raise UserError(f"{name} cannot be had from the hub: {reason} of that name.") from None
    except errors.EntryNotFoundError as error:
        if not isinstance(error, errors.LocalEntryNotFoundError):
            raise UserError(f"{name} has none of {' and '.join(FILES)}.") from None
        raise UserError(_unreachable(name, error.__cause__ or error, by_hand)) from None
    except Exception as error:  # of the client's own HTTP library, of sockets and of disks
        raise UserError(_unreachable(name, error, by_hand)) from None


def _download(hub: Any, errors: Any, repository: str, revision: str | None) -> Path:
    try:
        hub.hf_hub_download(repository, CONFIG, revision=revision)
    except errors.LocalEntryNotFoundError:
        raise
    except errors.EntryNotFoundError:
        pass
    for file in FILES[:-1]:
        try:
            return Path(hub.hf_hub_download(repository, file, revision=revision))
        except errors.LocalEntryNotFoundError:
            raise
        except errors.EntryNotFoundError:
            continue
    return Path(hub.hf_hub_download(repository, FILES[-1], revision=revision))


def _unreachable(name: str, error: BaseException, by_hand: Path) -> str:
    return f"{name} cannot be had from the hub ({shown(str(error) or type(error).__name__, 160)}). {_advice(by_hand)}"


def _advice(by_hand: Path) -> str:
    return f"Without a network, get its {FILES[0]} and {CONFIG} elsewhere and put both into {by_hand}."


def architecture(path: Path) -> str | None:
    """What timm calls the network of a file, by the ``config.json`` beside it."""
    found = _config(path).get("architecture")
    return found if isinstance(found, str) else None


def seen_by(path: Path, said: str | None = None) -> Seen | None:
    """How the network of a file sees images, by the ``config.json`` beside it, or timm's defaults if ``said`` timm.

    ``None`` for other files: torchvision's, PaddleClas's and paddle.vision's are as our models of the same name.
    """
    config = _config(path)
    facts = config.get("pretrained_cfg", config)
    if not isinstance(config.get("architecture"), str) or not isinstance(facts, dict):
        if said is None or said.partition("/")[0] != "timm":
            return None
        return Seen(None, None, TIMM_INTERPOLATION, None, None, "timm's defaults")
    size = facts.get("input_size")
    size = size[-1] if isinstance(size, list) and len(size) == 3 and size[-1] == size[-2] else None
    size = size if type(size) is int and 0 < size <= IMAGE_SIDE else None
    crop = facts.get("crop_pct", TIMM_CROP)
    resize = math.floor(size / crop) if size and isinstance(crop, float | int) and 0.1 <= crop <= 1 else None
    interpolation = INTERPOLATIONS.get(str(facts.get("interpolation", "bicubic")))
    mean, std = (_colour(facts.get(key)) for key in ("mean", "std"))
    return Seen(size, resize, interpolation, mean, std, str(path.with_name(CONFIG)))


def _colour(values: Any) -> tuple[float, ...] | None:
    good = isinstance(values, list) and len(values) == 3 and all(isinstance(value, float | int) for value in values)
    return tuple(map(float, values)) if good else None


def _config(path: Path) -> dict[str, Any]:
    file = path.with_name(CONFIG)
    if path.suffix not in (".safetensors", ".bin", ".pth", ".pt") or not file.is_file():
        return {}
    content = read_json(file)
    return content if isinstance(content, dict) else {}
