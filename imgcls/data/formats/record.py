"""What a checkpoint remembers of its samples: how many, a digest, and the list itself to say what has changed."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.limits import COPIES_BYTES, SAMPLES_EXPANSION, TEXT_BYTES
from imgcls.machine.reading import open_regular, shown

CHUNK = 65_536


class Known(NamedTuple):
    """How many samples there are, and the sha256 of their relative paths, labels and class names."""

    count: int
    sha256: str


def known(samples: Samples) -> Known:
    """The same for the same pictures wherever they lie, and whatever list or folder names them."""
    digest = hashlib.sha256()
    for part in _content(samples):
        digest.update(part)
    return Known(len(samples), digest.hexdigest())


def write_samples(samples: Samples, path: Path) -> None:
    """Write the list, compressed."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(_content(samples))


def differences(path: Path, samples: Samples) -> list[str]:
    """What is other in ``samples`` than in the list that ``write_samples`` has written, in words."""
    before, now = _read(path), _pairs(samples)
    was, there = dict(before), dict(now)
    found = (
        ("new", [one for one in there if one not in was]),
        ("gone", [one for one in was if one not in there]),
        ("of another class", [one for one, label in there.items() if was.get(one, label) != label]),
    )
    words = [f"{len(names):,} {what}, {printable(names[0])} the first" for what, names in found if names]
    if not words:
        place = next((number for number, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), None)
        if place is not None:
            one, other = printable(before[place][0]), printable(now[place][0])
            words = [f"another order from number {place + 1:,} on, {one} then and {other} now"]
    return words


def _content(samples: Samples) -> Iterator[bytes]:
    head = {"count": len(samples), "class_names": list(samples.class_names)}
    yield json.dumps(head).encode() + b"\n"
    for start in range(0, len(samples), CHUNK):
        yield b"".join(path + b"\0" for path in samples.relative_paths(start, start + CHUNK))
    yield samples.codes().astype("<i4").tobytes()


def _pairs(samples: Samples) -> list[tuple[bytes, int]]:
    return list(zip(samples.relative_paths(0, len(samples)), samples.codes().tolist(), strict=True))


def _read(path: Path) -> list[tuple[bytes, int]]:
    try:
        size = path.stat().st_size
        limit = COPIES_BYTES + SAMPLES_EXPANSION * size
        with open_regular(path) as compressed, gzip.open(compressed, "rb") as file:
            count = json.loads(file.readline(TEXT_BYTES))["count"]
            content = file.read(limit)
            if file.read(1):
                raise ValueError(f"more than {limit:,} bytes")
        if not 0 <= count <= size:  # paths that differ take more than a byte each
            raise ValueError(f"{count} samples")
        *paths, labels = content.split(b"\0", count)
        return list(zip(paths, np.frombuffer(labels, "<i4").tolist(), strict=True))
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise UserError(f"{path} is no list of samples ({shown(str(error), 200)}).") from error
