"""What the value of one key can be required to be, each with the words that refuse another."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import ListConfig


@dataclass(frozen=True)
class Rule:
    """One requirement.

    Args:
        holds: whether a value meets it.
        words: what the value must do: "must be at least 1" without its first word.
        each: of a list, look at every value by itself.
    """

    holds: Callable[[Any], bool]
    words: str
    each: bool = False


def at_least(smallest: float) -> Rule:
    return Rule(lambda value: value >= smallest, f"be at least {smallest}", each=True)


def between(smallest: float, largest: float) -> Rule:
    return Rule(lambda value: smallest <= value <= largest, f"be between {smallest} and {largest}", each=True)


def one_of(*choices: str) -> Rule:
    return Rule(choices.__contains__, f"be one of {', '.join(choices)}", each=True)


def false_or(*choices: str) -> Rule:
    return Rule((False, *choices).__contains__, f"be false or {' or '.join(choices)}")


NOT_EMPTY = Rule(bool, "name at least one")
BOUNDS = Rule(lambda pair: len(pair) == 2 and 0 < pair[0] <= pair[1], "be two positive numbers, the smaller first")
SHARES = Rule(lambda shares: all(share <= 1 for share in shares), "be shares of the image, at most 1")
COLOUR = Rule(lambda values: len(values) == 3, "be three numbers, for red, green and blue")
JITTER = Rule(
    lambda values: len(values) == 4 and min(values) >= 0 and values[3] <= 0.5,
    "be four numbers from 0 up, the last at most 0.5",
)
POSITIVE = Rule(lambda values: bool(values) and min(values) >= 1, "be a list of positive numbers")


def problems(key: str, value: Any, rules: Iterable[Rule]) -> Iterator[str]:
    """What is wrong with a value, a sentence for each; nothing is wrong with ``None``, for which a key was left out."""
    if value is None:
        return
    value = list(value) if isinstance(value, ListConfig) else value
    for rule in rules:
        for one in value if rule.each and isinstance(value, list) else [value]:
            if not rule.holds(one):
                yield f"{key}={one}: must {rule.words}."
