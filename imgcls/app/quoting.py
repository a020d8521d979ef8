"""Text in Hydra's grammar of overrides: put into quotes, taken out of them, divided at commas."""

import re

QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
REFERENCE = re.compile(r"\$\{[^{}]*\}")
"""An interpolation without another one inside of it."""

ELEMENT = re.compile(rf"(?:\s*(?:{QUOTED.pattern})(?=\s*(?:,|\Z))|(?:\$\{{[^}}]*\}}|[^,])*)", re.DOTALL)
"""What stands between two commas: quoted, or a text without a comma, except in an interpolation."""


def quoted(text: str) -> str:
    r"""A text as Hydra's grammar has it in single quotes; Hydra reads back just what it was.

    >>> quoted("it's")
    "'it\\'s'"
    """
    # Hydra takes a backslash for an escape only where quotes follow.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda match: match[1] * 2 + match[2].replace("'", "\\'"), text) + "'"


def unquoted(text: str) -> str:
    """What Hydra reads in quotes; a text without them as it is."""
    if not QUOTED.fullmatch(text):
        return text
    quote, inside = text[0], text[1:-1]
    return re.sub(rf"(\\+)({quote}|\Z)", lambda match: match[1][: len(match[1]) // 2] + match[2], inside)


def split(text: str) -> list[str]:
    """The parts between commas that stand neither in quotes nor in an interpolation, with their blanks.

    >>> split("a b,'c,d',${oc.env:X,y}")
    ['a b', "'c,d'", '${oc.env:X,y}']
    """
    parts, position = [], 0
    while True:
        found = ELEMENT.match(text, position)
        position = found.end()
        while position < len(text) and text[position] != ",":
            position += 1  # blanks behind quotes
        parts.append(text[found.start() : position])
        if position == len(text):
            return parts
        position += 1


def has_broken_reference(text: str) -> bool:
    """Whether ``${`` stands somewhere without its ``}``."""
    before = None
    while before != text:
        before, text = text, REFERENCE.sub("", text)
    return "${" in text
