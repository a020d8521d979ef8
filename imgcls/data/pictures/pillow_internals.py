"""Every private name of Pillow that this library uses, with a way on where one is not there."""

from typing import BinaryIO

from PIL.JpegImagePlugin import JpegImageFile

ATTRIBUTES = ("fp", "_size", "tile")
"""Of an image that was opened and not decoded: its file, width and height, and what the decoder is to do."""


def replace_file(image: JpegImageFile, file: BinaryIO, rows: int) -> bool:
    """Let the decoder of an opened JPEG read another file, of the same width and ``rows`` high.

    Returns:
        Whether that is so. Otherwise this Pillow calls something by another name, and the image is as it was.
    """
    if not all(hasattr(image, name) for name in ATTRIBUTES):
        return False
    image.fp = file  # the decoder reads the header again
    image._size = image.width, rows
    image.tile = [(codec, (0, 0, *image.size), *rest) for codec, _, *rest in image.tile]
    return True
