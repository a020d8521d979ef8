"""What of a command of ``imgcls.predict`` opens its network again, for pictures that are compared with its features."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imgcls.app.overrides import as_typed
from imgcls.app.quoting import quoted
from imgcls.errors import UserError
from imgcls.machine.reading import read_json
from imgcls.machine.text import write_json

FILE = "command.json"
PATHS = ("predict.source", "model.pretrained", "data.class_map")
OF_THE_NETWORK = re.compile(
    r"(model|transform)|(model|transform)\.(?!.*_target_)[\w.]+|data\.(class_map|num_classes)|"
    r"predict\.(source|weights|engine|tta|batch_size|threads|mode|model_cache|onednn|bfloat16|gpu_id|gpu_mem|tensorrt)"
)
"""What a command says of the network and of how it sees a picture."""


def write_command(config: DictConfig, directory: Path) -> None:
    """Write down what of this command of ``imgcls.predict`` opens the network again, from wherever it is asked."""
    given = [word for word in HydraConfig.get().overrides.task if OF_THE_NETWORK.fullmatch(as_typed(word)[0])]
    command = [word for word in given if as_typed(word)[0] not in PATHS]
    for key in PATHS:
        section, _, name = key.partition(".")
        value = config[section].get(name)
        is_given = any(as_typed(word)[0] == key for word in given)
        if is_given and isinstance(value, str):
            command.append(f"{key}={quoted(str(Path(value).absolute()) if Path(value).exists() else value)}")
        elif is_given:
            command.append(f"{key}={json.dumps(value)}")
    write_json(directory / FILE, {"command": command, "directory": os.getcwd()})


def read_command(directory: Path) -> tuple[tuple[str, ...], str]:
    """What ``write_command`` wrote, and the directory that it was asked in, from which paths of pictures count.

    Raises:
        UserError: it is not there, or damaged.
    """
    file = directory / FILE
    if not file.is_file():
        raise UserError(f"{directory} does not say which network its features are from. Predict again.")
    content = read_json(file)
    command = content.get("command") if isinstance(content, dict) else None
    place = content.get("directory", "") if isinstance(content, dict) else None
    if not isinstance(command, list) or not all(isinstance(word, str) for word in (*command, place)):
        raise UserError(f"{file} is damaged. Predict again.")
    return require_harmless(command, file), place


def require_harmless(command: Sequence[str], file: Path) -> tuple[str, ...]:
    """Refuse a recorded command with words on other things than the network.

    Raises:
        UserError: names the word.
    """
    for word in command:
        if not OF_THE_NETWORK.fullmatch(word.lstrip("+").partition("=")[0]) or "${" in word:
            raise UserError(f"{file} is refused: '{word}' says nothing of a network.")
    return tuple(command)
