"""Files of any number of channels that Pillow does not read: ``.npy`` arrays, and TIFF by the package tifffile."""

import io
import math
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np

NPY = b"\x93NUMPY"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
STORED, DEFLATED = 1, (8, 32946)
"""Numbers of TIFF's compressions that are read: none, and deflate."""

MISSING = 'TIFF of such channels needs the package tifffile: pip install "imgcls[tiff]"'
NPY_SUFFIX = b".npy"
"""Files so called are images where the network takes other channels than red, green and blue of 8 bits."""


CheckSize = Callable[[int, int], None]
"""Of width and height; raises where they are too much, before they are read."""


def read_array(file: BinaryIO, channels: int, check_size: CheckSize) -> np.ndarray | None:
    """The array ``[H, W, channels]`` of an ``.npy`` or a TIFF file; ``None`` of any other, left to Pillow.

    Pillow reads TIFF of one channel, and of three and four of 8 bits. The file is left at its start.

    Args:
        file: at its start.

    Raises:
        ValueError: it has other channels, or is damaged.
    """
    head = file.read(len(NPY))
    file.seek(0)
    if head == NPY:
        return _npy(file, channels, check_size)
    if head.startswith(TIFF):
        found = _tiff(file, channels, check_size)
        file.seek(0)
        return found
    return None


def _npy(file: BinaryIO, channels: int, check_size: CheckSize) -> np.ndarray:
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(np.lib.format.read_magic(file))
    if read_header is None:
        raise ValueError("it is an .npy file of an unknown version")
    shape, in_columns, dtype = read_header(file)
    if dtype.newbyteorder("=") not in (np.dtype(np.uint8), np.dtype(np.uint16)):  # objects among them, which run code
        raise ValueError(f"its values are {dtype}; convert them to 8 or 16 bits (uint8, uint16)")
    if len(shape) == 2:
        shape = (*shape, 1)
    _require(shape, channels, check_size)
    content = file.read(int(np.prod(shape)) * dtype.itemsize)
    values = np.frombuffer(content, dtype).reshape(shape, order="F" if in_columns else "C")
    return values.astype(dtype.newbyteorder("="), copy=False)


def _tiff(file: BinaryIO, channels: int, check_size: CheckSize) -> np.ndarray | None:
    if find_spec("tifffile") is None:
        return None  # what Pillow reads, it reads without; ``needs_tifffile`` is asked when it does not
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]  # not a series, whose description may name other files
        count, bits = page.samplesperpixel, page.bitspersample
        if count == 1 or (count in (3, 4) and bits == 8) or (count != channels and count <= 4):
            return None
        _require((page.imagelength, page.imagewidth, count), channels, check_size)
        _require_bounded(file, page)
        values = page.asarray(maxworkers=1)
        if page.planarconfig == 2:  # a channel after the other
            values = np.moveaxis(values, 0, -1)
        if values.shape != (page.imagelength, page.imagewidth, count):
            raise ValueError(f"its array is {list(values.shape)}, and no image of {count} channels")
        return values


def _require_bounded(file: BinaryIO, page: Any) -> None:
    """Refuse parts that lie over each other or inflate to more than they hold, which tifffile would follow."""
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if sum(size for _, size in places) > file.seek(0, io.SEEK_END):
        raise ValueError("its parts are larger than the file")
    if page.compression == STORED:
        return
    if page.compression not in DEFLATED:
        raise ValueError(f"its compression is {page.compression.name}: save it without, or with deflate")
    most = math.prod(page.chunks) * page.dtype.itemsize
    for offset, size in places:
        file.seek(offset)
        if len(zlib.decompressobj().decompress(file.read(size), most + 1)) > most:
            raise ValueError("a part of it has more values than it says")


def needs_tifffile(file: BinaryIO) -> bool:
    """Whether a file that Pillow does not read might be read with tifffile, which is not installed."""
    file.seek(0)
    return file.read(4).startswith(TIFF) and find_spec("tifffile") is None


def _require(shape: tuple[int, ...], channels: int, check_size: CheckSize) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"its array is {list(shape)}, and no image [height, width, channels]")
    if shape[2] != channels:
        raise ValueError(f"it has {shape[2]} channels and the network takes {channels} (model.args.in_channels)")
    check_size(shape[1], shape[0])
