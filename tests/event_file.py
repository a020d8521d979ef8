"""TensorBoard's event files read back, record by record; needs tensorboardX for the messages."""

import struct
from pathlib import Path


def records(path: Path) -> list[bytes]:
    """The messages of a file: each with its length, a checksum, the content, a checksum."""
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


def read_events(directory: Path) -> list:
    """The events of all files in ``directory``."""
    from tensorboardX.proto.event_pb2 import Event

    return [Event.FromString(record) for path in sorted(directory.iterdir()) for record in records(path)]


def scalars(directory: Path) -> dict[str, dict[int, float]]:
    """Tag to step to value."""
    found: dict[str, dict[int, float]] = {}
    for event in read_events(directory):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def texts(directory: Path) -> list[str]:
    strings = [value.tensor.string_val for event in read_events(directory) for value in event.summary.value]
    return [b"".join(string).decode() for string in strings if string]
