"""The size of a network's input: one number for a square, ``(height, width)`` for anything else."""

from collections.abc import Iterable

Size = int | tuple[int, int]
"""Pixels: the side of a square, or height and width."""


def as_size(value: int | Iterable[int]) -> Size:
    """A number, or two of them in whatever holds them, as a size; equal ones are a square."""
    if isinstance(value, int):
        return value
    height, width = value
    return height if height == width else (height, width)


def sides(size: Size) -> tuple[int, int]:
    """Height and width."""
    return size if isinstance(size, tuple) else (size, size)


def plain(size: Size) -> int | list[int]:
    """A size as YAML and JSON hold it."""
    return list(size) if isinstance(size, tuple) else size


def in_words(size: Size) -> str:
    """``224`` or ``192 x 320``."""
    return " x ".join(map(str, size)) if isinstance(size, tuple) else str(size)
