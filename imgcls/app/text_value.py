"""A text as the value of an override, as a person would type it."""

import re

PLAIN = re.compile(r"/?[\w.+-]+(/[\w.+-]+)+|[a-z]+_\w+", re.ASCII)
"""Paths, and names of modules mostly, that neither Hydra nor OmegaConf takes for anything else."""


def text_value(text: str) -> str:
    """In double quotes where Hydra needs any; a shell's single quotes around them leave them readable."""
    if PLAIN.fullmatch(text):
        return text
    # Hydra takes a backslash for an escape only where quotes follow.
    return '"' + re.sub(r'(\\*)("|\Z)', lambda match: match[1] * 2 + match[2].replace('"', '\\"'), text) + '"'
