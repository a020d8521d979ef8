"""What is known of one key beside its type: what its value must be, and what may become of it later."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, get_args, get_origin

from omegaconf import MISSING, ListConfig

LARGEST = 2**62
"""Of whole numbers: what is added to one still has 64 bits."""


@dataclass(frozen=True)
class Rule:
    """One requirement.

    Args:
        holds: whether a value meets it.
        words: what the value must do: "must be at least 1" without its first word.
        each: of a list, look at every value by itself.
        example: of a list that meets it.
        choices: the words that there are, where there are no others.
    """

    holds: Callable[[Any], bool]
    words: str
    each: bool = False
    example: str = ""
    choices: tuple[str, ...] = ()


def at_least(smallest: float) -> Rule:
    return Rule(lambda value: value >= smallest, f"be at least {smallest}", each=True)


def between(smallest: float, largest: float) -> Rule:
    return Rule(lambda value: smallest <= value <= largest, f"be between {smallest} and {largest}", each=True)


def at_most(largest: float) -> Rule:
    return Rule(
        lambda value: not isinstance(value, int | float) or value <= largest, f"be at most {largest:,}", each=True
    )


def one_of(*choices: str) -> Rule:
    return Rule(choices.__contains__, f"be one of {', '.join(choices)}", each=True, choices=choices)


def false_or(*choices: str) -> Rule:
    return Rule((False, *choices).__contains__, f"be false or {' or '.join(choices)}")


def switch_or(*choices: str) -> Rule:
    *first, last = "true", "false", *choices
    return Rule((False, True, *choices).__contains__, f"be {', '.join(first)} or {last}", each=True)


def auto_or(rule: Rule) -> tuple[Rule, Rule]:
    """Of an ``int | str``: ``auto``, or a number that meets a rule."""
    return (
        Rule(lambda value: isinstance(value, str) or rule.holds(value), rule.words),
        Rule(lambda value: not isinstance(value, str) or value == "auto", "be a whole number or auto"),
    )


NOT_EMPTY = Rule(bool, "name at least one")
BOUNDS = Rule(
    lambda pair: len(pair) == 2 and 0 < pair[0] <= pair[1],
    "be two positive numbers, the smaller first",
    example="[0.5,1.0]",
)
SHARES = Rule(lambda shares: all(share <= 1 for share in shares), "be shares of the image, at most 1")
ABOVE_ZERO = Rule(lambda value: value > 0, "be more than 0")
BELOW_ONE = Rule(lambda value: 0 <= value < 1, "be at least 0 and less than 1")
SPREAD = Rule(lambda value: value > 0, "be more than 0", each=True)
PART = Rule(lambda share: 0 <= share < 1, "be at least 0 and less than 1: 0.2 is a fifth")
COLOUR = Rule(bool, "be three numbers, for red, green and blue", example="[0.485,0.456,0.406]")
"""As many as the network has channels, see ``channels.problems``; three, where nothing else is said."""
DEPTH = Rule(lambda bits: bits in (8, 16), "be 8 or 16")
JITTER = Rule(
    lambda values: len(values) == 4 and min(values) >= 0 and values[3] <= 0.5,
    "be four numbers from 0 up, the last at most 0.5",
    example="[0.4,0.4,0.4,0.1]",
)
CLASS_WEIGHTS = Rule(
    lambda value: value == "balanced" or _is_weights(value),
    "be null, balanced or a list of numbers from 0 up, one for each class",
)
POSITIVE = Rule(lambda values: bool(values) and min(values) >= 1, "be a list of positive numbers", example="[1,5]")


SIZE = Rule(
    lambda value: type(value) is int or (isinstance(value, list) and [type(side) for side in value] == [int, int]),
    "be a number of pixels, or height and width as [192,320]",
)
PIXELS = Rule(lambda value: type(value) is not int or value >= 1, "be at least 1", each=True)


def _is_weights(value: Any) -> bool:
    numbers = isinstance(value, list) and all(isinstance(one, int | float) and one >= 0 for one in value)
    return numbers and any(value)


def _impossible(value: Any) -> str | None:
    """What is wrong with a number that nothing can be computed with."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}: must be a finite number."
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"{value}: must be at most {LARGEST:,}."
    return None


def problems(key: str, value: Any, rules: Iterable[Rule]) -> Iterator[str]:
    """What is wrong with a value, a sentence for each; nothing is wrong with ``None``, for which a key was left out."""
    if value is None:
        return
    value = list(value) if isinstance(value, ListConfig) else value
    is_right = True
    for rule in rules:
        for one in value if rule.each and isinstance(value, list) else [value]:
            if not rule.holds(one):
                is_right = False
                yield f"{key}={one}: must {rule.words}."
    impossible = filter(None, map(_impossible, value if isinstance(value, list) else [value]))
    if is_right and (found := next(impossible, None)):
        yield f"{key}={found}"


@dataclass(frozen=True)
class Row:
    """What is known of a key beside its type.

    Args:
        rules: what its value must be.
        free: a resumed run may change it, since it changes how the run is carried out, how long it is or
            what it writes, not what it computes next.
        of_the_job: it says how a job reads images, not what a run was trained on, so a program that uses
            a run takes it from its own command.
        fingerprint: it is part of ``config_hash``: it does not say where a run is.
        unrecorded: the value of runs from before there was such a key; they go on, and their fingerprint stays.
        later: there were such runs, and their value is ``None``.
        path: it holds a path, in which ``~`` is a home directory.
        several: it holds one text, or a list of them in brackets.
        switch: it holds a text, or one of ``true`` and ``false``.
        note: a sentence for whoever gave it a value of the wrong kind.
        type: of its values, from its class.
    """

    rules: tuple[Rule, ...]
    free: bool
    of_the_job: bool
    fingerprint: bool
    unrecorded: Any
    path: bool = False
    several: bool = False
    switch: bool = False
    note: str = ""
    type: Any = None
    later: bool = False

    @property
    def kind(self) -> Any:
        """The type of a value that is given: ``int`` of an ``int | None``, ``list`` of a ``list[str]``."""
        if self.path:
            return str
        of = [one for one in get_args(self.type) if one is not type(None)] if self.optional else [self.type]
        return get_origin(of[0]) or of[0] if len(of) == 1 else Any

    @property
    def optional(self) -> bool:
        """Whether ``null`` is a value of it."""
        return self.type is Any or type(None) in get_args(self.type)

    @property
    def texts(self) -> bool:
        """Whether it holds a list of texts."""
        return self.type == list[str]

    def must(self) -> str:
        """What a value must be, for a message: ``be a whole number, at least 1``."""
        rules = [rule.words.removeprefix("be ") for rule in self.rules]
        if self.kind is list and self.rules and self.rules[0].example:
            return f"be a list in brackets, of {rules[0].removeprefix('a list of ')}, such as {self.rules[0].example}"
        says_all = rules and (self.kind is str or self.kind not in (list, *KINDS))
        kind = [] if says_all else [self._list() if self.kind is list else KINDS.get(self.kind, "of another kind")]
        return f"be {', '.join([*kind, *rules])}{', or null' * self.optional}"

    def _list(self) -> str:
        (of,) = get_args(self.type)
        words, example = LISTS[get_origin(of) or of]
        choices = next((rule.choices for rule in self.rules if rule.choices), None)
        return f"a list in brackets, of {words}, such as {f'[{choices[0]}]' if choices else example}"


LISTS = {
    int: ("whole numbers", "[1,2]"),
    float: ("numbers", "[0.5,1.0]"),
    bool: ("true and false", "[false,true]"),
    str: ("texts", "[a,b]"),
    dict: ("mappings", "[{key: value}]"),
}
"""What a list holds, and one."""

KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    dict: "a mapping, such as {key: value}",
}


def key(
    *rules: Rule,
    default: Any = MISSING,
    free: bool = False,
    of_the_job: bool = False,
    fingerprint: bool = True,
    unrecorded: Any = None,
    path: bool = False,
    several: bool = False,
    switch: bool = False,
    note: str = "",
    later: bool = False,
) -> Any:
    """A row; only ``model`` has a default here, for its choices are no files of ``conf/``."""
    metadata = {"row": Row(rules, free, of_the_job, fingerprint, unrecorded, path, several, switch, note, later=later)}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(keys: type) -> Any:
    """A group of rows under one name."""
    return field(default_factory=keys)


@cache
def rows(schema: type) -> dict[str, Row]:
    """Every row of a configuration, by dotted key."""
    found: dict[str, Row] = {}
    for entry in fields(schema):
        if is_dataclass(entry.type):
            found |= {f"{entry.name}.{name}": row for name, row in rows(entry.type).items()}
        else:
            found[entry.name] = replace(entry.metadata["row"], type=entry.type)
    return found


@cache
def sections(schema: type) -> tuple[str, ...]:
    """The dotted names of what holds the rows of a configuration."""
    found: list[str] = []
    for entry in fields(schema):
        if is_dataclass(entry.type):
            found += [entry.name, *(f"{entry.name}.{name}" for name in sections(entry.type))]
    return tuple(found)
