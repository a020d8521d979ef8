"""Patterns that pick tensors of a network by name, as ``model.exclude`` and ``model.freeze`` take them."""

import fnmatch
from collections.abc import Iterable, Mapping

from imgcls.errors import UserError, close_matches


def matching(names: Mapping[str, str], patterns: Iterable[str], option: str) -> list[str]:
    """The ``state_dict`` keys that a pattern picks, in the network's order.

    Args:
        names: fluid variable name of each key.
        patterns: substrings, or globs when they hold ``*``, ``?`` or ``[``, of a key or a fluid name.
        option: the setting the patterns come from, for the message.

    Raises:
        UserError: a pattern picks nothing.
    """
    # the original's flag was one comma-separated string
    patterns = patterns.split(",") if isinstance(patterns, str) else list(patterns)
    picked = set()
    for pattern in patterns:
        hits = {key for key, name in names.items() if _matches(pattern, key) or _matches(pattern, name)}
        if not hits:
            every = [*names, *names.values()]
            ends = list(names.items())[:1] + list(names.items())[-2:]
            raise UserError(
                f"The pattern '{pattern}' of {option} matches no tensor of the network."
                f"{close_matches(pattern, every)} The first and last are: "
                f"{', '.join(f'{key} = {name}' for key, name in ends)}."
            )
        picked |= hits
    return [key for key in names if key in picked]


def _matches(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name
