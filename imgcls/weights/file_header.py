"""What a file begins with, for the messages about files that are not what they should be."""

from pathlib import Path

from imgcls.machine.reading import open_regular


def describe_start(path: Path) -> str:
    """A clause such as ``it begins with the text '<!DOCTYPE html>'``."""
    with open_regular(path) as file:
        start = file.read(40)
    if not start:
        return "the file is empty"
    if start.isascii() and (text := start.decode().strip()).isprintable():
        return f"it begins with the text {text!r}"
    return f"it begins with the bytes {start[:8].hex(' ')}"
