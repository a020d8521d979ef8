"""Move ImageNet's validation images into a directory for each class.

    python scripts/imagenet_val.py ILSVRC2012_devkit_t12/data val

The archive holds them side by side. Which class each belongs to is in the development kit: line n
of the ground truth is the number of the class of image n, and meta.mat says which WordNet
identifier a number stands for.
"""

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAT_HEADER = 128
COMPRESSED = 15
STRUCT, CHARACTERS = 2, 4
NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le"}


def main(devkit: str, images: str) -> int:
    try:
        count = sort_images(Path(devkit), Path(images))
    except (OSError, ValueError, KeyError, struct.error, zlib.error) as error:
        print(f"error: {error}. Are these the development kit's data and the validation images?", file=sys.stderr)
        return 1
    print(f"{images}: {count:,} images in class directories")
    return 0


def sort_images(devkit: Path, images: Path) -> int:
    """Move each image to ``images/<WordNet identifier>/``; returns how many there are."""
    synsets = read_synsets(devkit / "meta.mat")
    classes = {int(synset["ILSVRC2012_ID"]): synset["WNID"] for synset in synsets if not synset["num_children"]}
    truth = (devkit / "ILSVRC2012_validation_ground_truth.txt").read_text(encoding="ascii")
    numbers = [int(line) for line in truth.split()]
    files = sorted(path for path in images.iterdir() if path.is_file())
    if len(files) != len(numbers):
        raise ValueError(f"{images} has {len(files):,} images, the ground truth {len(numbers):,} lines")
    for identifier in classes.values():
        (images / identifier).mkdir()
    for file, number in zip(files, numbers, strict=True):
        file.rename(images / classes[number] / file.name)
    return len(files)


def read_synsets(path: Path) -> list[dict[str, Any]]:
    """The structures of the variable ``synsets`` in a MATLAB file of version 5."""
    content = path.read_bytes()
    if content[126:128] != b"IM":
        raise ValueError(f"{path} is not a little-endian MATLAB file of version 5")
    for kind, data in _elements(content[MAT_HEADER:]):
        if kind == COMPRESSED:
            kind, data = next(_elements(zlib.decompress(data)))
        name, value = _matrix(data)
        if name == "synsets":
            return value
    raise ValueError(f"{path} has no variable 'synsets'")


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and data of each element, see "Data Element Format" in MathWorks' MAT-File Format."""
    position = 0
    while position + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, position)
        if kind >> 16:  # a small element: size and data within its 8 bytes
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
            position += 8
        else:
            start = position + 8
            position = start + (size if kind == COMPRESSED else -(-size // 8) * 8)
        yield kind, content[start : start + size]


def _matrix(content: bytes) -> tuple[str, Any]:
    """Name and value: text, a number (the first of an array), or a list of structures."""
    if not content:  # an empty field
        return "", None
    (_, flags), _, (_, name), *rest = _elements(content)
    kind = flags[0]
    if kind == STRUCT:
        (_, length), (_, names), *values = rest
        width = struct.unpack("<i", length)[0]
        fields = [names[i : i + width].split(b"\0")[0].decode() for i in range(0, len(names), width)]
        values = [_matrix(value)[1] for _, value in values]
        starts = range(0, len(values), len(fields))
        return name.decode(), [dict(zip(fields, values[start : start + len(fields)], strict=True)) for start in starts]
    if not rest or not rest[0][1]:
        return name.decode(), None
    data_kind, data = rest[0]
    if kind == CHARACTERS:
        return name.decode(), data.decode(ENCODINGS[data_kind])
    return name.decode(), struct.unpack_from(f"<{NUMBERS[data_kind]}", data)[0]


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {sys.argv[0]} ILSVRC2012_devkit_t12/data val")
    sys.exit(main(*sys.argv[1:]))
