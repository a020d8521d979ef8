"""What a program's command may set: the groups of ``conf/`` with their choices, and the keys."""

from functools import cache
from pathlib import Path

import yaml

from imgcls.app.keys import SCHEMAS, Train
from imgcls.app.rows import Row, rows
from imgcls.models.registry import list_models


def conf_directory() -> Path:
    """``conf/`` beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def groups(program: str) -> dict[str, list[str]]:
    """The choices of each group that a program's configuration is made of."""
    directory = conf_directory()
    entries = yaml.safe_load((directory / f"{program}.yaml").read_text(encoding="utf-8"))["defaults"]
    names = [name for entry in entries if isinstance(entry, dict) for name in entry]
    return {
        name: list_models() if name == "model" else sorted(path.stem for path in (directory / name).glob("*.yaml"))
        for name in names
    }


@cache
def known_rows(program: str) -> dict[str, Row]:
    """Every key with its row: those of the program, where it writes, and what only its recipes are about."""
    others = {"run", *groups(program)}
    return {key: row for key, row in rows(Train).items() if key.partition(".")[0] in others} | rows(SCHEMAS[program])


@cache
def optional_groups(program: str) -> frozenset[str]:
    """Groups of which a program's configuration has none unless a command chooses one."""
    entries = yaml.safe_load((conf_directory() / f"{program}.yaml").read_text(encoding="utf-8"))["defaults"]
    return frozenset(name for entry in entries if isinstance(entry, dict) for name in entry if entry[name] is None)


def has_key(group: str, choice: str, key: str) -> bool:
    """Whether the file of a choice has a key."""
    file = conf_directory() / group / f"{choice}.yaml"
    return file.is_file() and key in yaml.safe_load(file.read_text(encoding="utf-8"))
