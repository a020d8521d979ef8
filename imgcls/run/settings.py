"""The configuration of a run as settings: dotted keys and their values."""

from typing import Any


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of mappings as one mapping of dotted keys.

    >>> flat({"trainer": {"epochs": 5}})
    {'trainer.epochs': 5}
    """
    settings: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            settings |= flat(value, f"{prefix}{key}.")
        else:
            settings[prefix + key] = value
    return settings
