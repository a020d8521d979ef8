"""Errors that are the user's to mend, and the one way they are shown."""

import difflib
from collections.abc import Iterable

USER_ERROR_STATUS = 2

LEAST_START = 3
"""Characters by which a candidate may be meant that begins with them."""


class UserError(Exception):
    """A mistake a user can correct: what is wrong, where, and what to do.

    Entry points print the message without a traceback and exit with status 2.
    Anything else that is raised is a bug of this library and keeps its traceback.
    """


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop by a signal, and saved its state before it did.

    Not an ``Exception``: a sweep that goes on after a failed job must stop here.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def close_matches(word: str, candidates: Iterable[str], limit: int = 3) -> str:
    """A sentence naming the candidates closest to ``word``, in any case of letters, or an empty string.

    >>> close_matches("resnet5_vd", ["resnet50_vd", "vgg16"])
    " Did you mean 'resnet50_vd'?"
    """
    folded: dict[str, list[str]] = {}
    for candidate in candidates:
        folded.setdefault(candidate.casefold(), []).append(candidate)
    close = difflib.get_close_matches(word.casefold(), folded, n=limit, cutoff=0.6)
    if not close and len(word) >= LEAST_START:
        close = [one for one in folded if one.startswith(word.casefold())]
    matches = [candidate for one in close for candidate in folded[one]][:limit]
    if not matches:
        return ""
    return " Did you mean " + " or ".join(f"'{match}'" for match in matches) + "?"


def as_shown(value: object, limit: int = 60) -> str:
    """A value of any kind for a message: the beginning of its first line, as Python writes it.

    >>> as_shown("a" * 100, 5)
    "'aaaa..."
    """
    first, _, rest = repr(value).partition("\n")
    return first if len(first) <= limit and not rest else f"{first[:limit]}..."


def listed(entries: Iterable[object], limit: int = 10, separator: str = ", ") -> str:
    """The first few of a list for a message, and how many more there are.

    >>> listed(range(12), 3)
    '0, 1, 2, and 9 more'
    """
    names = [str(entry) for entry in entries]
    rest = [f"and {len(names) - limit:,} more"] if len(names) > limit else []
    return separator.join([*names[:limit], *rest])
