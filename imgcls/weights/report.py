"""What became of every tensor when weights were loaded into a network."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from imgcls.errors import UserError, listed

SHOWN = 6  # tensors a summary names per line; the full lists are in the report


class Stored(NamedTuple):
    """A tensor of the file: its name there and its shape."""

    name: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)}"


class Mismatch(NamedTuple):
    """A tensor whose shape in the file is not that of the network."""

    name: str
    have: tuple[int, ...]
    want: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {list(self.have)} -> {list(self.want)}"


@dataclass
class LoadReport:
    """Names are ``state_dict`` keys of the network, except in ``unexpected``.

    Attributes:
        loaded: tensors that took their values from the file, adapted ones included.
        reinitialised: head tensors made for another class count; they got fresh values.
        former_head: the values that the file has for those, by their names here.
        adapted: first convolutions made for another number of input channels.
        missing: tensors the file lacks (only where missing ones were allowed).
        excluded: tensors left as they were by an ``exclude`` pattern.
        unexpected: tensors of the file, by their name there, that the network has no place for.
        training_state: how many of the unexpected ones are optimizer state, averages or counters.
        source: where the weights came from.
        peer: the library whose weights they were, where they were not ours.
        remarks: what was done to them to make them ours.
    """

    loaded: list[str] = field(default_factory=list)
    reinitialised: list[Mismatch] = field(default_factory=list)
    former_head: dict[str, np.ndarray] = field(default_factory=dict)
    adapted: list[Mismatch] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    unexpected: list[Stored] = field(default_factory=list)
    training_state: int = 0
    source: str = "the weights"
    peer: str | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Whether every tensor of the network was filled as it is, and nothing but training state was left over."""
        other = (self.reinitialised, self.adapted, self.missing, self.excluded)
        return not any(other) and len(self.unexpected) == self.training_state

    def summary(self) -> str:
        """One line for what was loaded and one for each kind of tensor that was not."""
        lines = [f"{len(self.loaded)} tensors loaded from {self.source}"]
        if self.peer:
            lines[0] += f", weights of {self.peer}{': ' if self.remarks else ''}{'; '.join(self.remarks)}"
        for title, tensors in (
            ("re-initialised (another class count)", self.reinitialised),
            ("adapted (another number of input channels)", self.adapted),
            ("missing, left as they were", self.missing),
            ("excluded, left as they were", self.excluded),
            (self._unexpected_title(), self.unexpected),
        ):
            if tensors:
                rule = _channel_rule(self.adapted) if tensors is self.adapted else ""
                lines.append(f"{len(tensors)} {title}: {some(tensors)}{rule}")
        return "\n".join(lines)

    def _unexpected_title(self) -> str:
        state = f", {self.training_state} of them training state" if self.training_state else ""
        return f"in the file but not in the network{state}"


def _channel_rule(adapted: list[Mismatch]) -> str:
    """How ``adapt_input_channels`` has made them."""
    count = adapted[0].want[1]
    rule = "the sum of red, green and blue" if count == 1 else f"red, green and blue in turn, times 3 / {count}"
    return f"; {rule}"


class WeightsMismatch(UserError):
    """The weights do not fit the network; nothing was loaded."""

    def __init__(self, message: str, missing: list[str], mismatched: list[Mismatch], unexpected: list[Stored]):
        super().__init__(message)
        self.missing, self.mismatched, self.unexpected = missing, mismatched, unexpected

    def add(self, sentence: str) -> None:
        """Put a line under the message."""
        self.args = (f"{self}\n{sentence}",)


def some(tensors: Iterable[object], limit: int = SHOWN) -> str:
    """The first few, comma separated, and how many more there are."""
    return listed(tensors, limit)
