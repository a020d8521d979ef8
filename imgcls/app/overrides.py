"""What is typed on a command line, as Hydra takes it."""

import re

from imgcls.models.registry import model_info

MODEL_CHOICE = re.compile(r"^(\+{0,2})model=(.+)$")
IMPORTS = re.compile(r"^\+{0,2}imports=(?P<names>.*)$")
OPEN = re.compile(r"^(model|data|optimizer|lr_schedule|loss)\.args\.")
"""Sections whose ``args`` take any key."""

OWN = re.compile(r"^\+{0,2}(?P<section>data|optimizer|lr_schedule|loss)\._target_=")


def canonical(arguments: list[str]) -> list[str]:
    """Overrides as Hydra takes them.

    - Model names become lower case, one or several of a sweep.
    - Keys below ``args`` are added to what is there.
    - ``optimizer._target_=...`` alone chooses ``optimizer=own``, and so do the other sections.
    - ``imports=my_module`` is a list of one.

    Raises:
        UserError: there is no such model; the message has close matches.
    """
    given = {argument.partition("=")[0].lstrip("+") for argument in arguments}
    own = dict.fromkeys(match["section"] for match in map(OWN.match, arguments) if match)
    chosen = [f"{section}=own" for section in own if section not in given]
    return [*chosen, *map(_canonical, arguments)]


def imports(arguments: list[str]) -> list[str]:
    """The modules that a command line names with ``imports=``."""
    found = [match["names"] for match in map(IMPORTS.match, arguments) if match]
    return [name.strip(" '\"") for name in found[-1].strip("[]").split(",")] if found and found[-1].strip("[]") else []


def _canonical(argument: str) -> str:
    if OPEN.match(argument):
        return f"++{argument}"
    if (match := IMPORTS.match(argument)) and not match["names"].startswith("["):
        return f"imports=[{match['names']}]"
    match = MODEL_CHOICE.match(argument)
    if match is None or any(character in match[2] for character in "*()[]{}"):
        return argument
    return f"{match[1]}model=" + ",".join(model_info(choice.strip()).name for choice in match[2].split(","))
