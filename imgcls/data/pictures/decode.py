"""Any image file, or its bytes, as an upright RGB image, or one of other ``channels``.

What a photo may be: JPEG (grey, CMYK and YCCK too), PNG (palette, alpha, 16 bits), WebP, GIF (first
frame), BMP, TIFF, AVIF and HEIF (see ``readers``) and a few more. EXIF orientation is applied.
Transparent pixels are laid on white, which is what cut-outs and logos are drawn for. ICC profiles are
not applied.
"""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError

from imgcls.data.paths import printable
from imgcls.data.pictures import arrays, readers
from imgcls.data.pictures.channels import RGB, ChannelImage, Channels, on_white, with_channels
from imgcls.data.pictures.jpeg_rows import is_whole_and_sequential, rows_to_decode, with_rows
from imgcls.data.pictures.pillow_internals import replace_file
from imgcls.data.pictures.size import Size, sides
from imgcls.data.pictures.work import EXIF_AS_USUAL, TooMuchWork, check_exif, check_work
from imgcls.errors import UserError

# Pillow opens anything it has a reader for, and some readers start other programs (EPS does) or
# hold no photos. Only these are tried, whatever the file is called.
MARKED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "ICO", "SGI")
UNMARKED = ("PCX", "TGA")
"""Formats that do not begin with a mark of their own: almost any bytes could be one of them."""

# The size at which Pillow itself refuses.
MAX_PIXELS = 178_956_970

REDUCTIONS = (8, 4, 2)
"""Factors by which a JPEG decoder can shrink while it decodes, from the coefficients."""

WORTHWHILE = 20_000
"""Pixels below a box from which on it pays to leave them out."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_ITS_SIDE = (5, 6, 7, 8)

Source = str | os.PathLike | bytes
"""A path, or the content of a file."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class BadImage(UserError):
    """An image file that is missing, empty, damaged, too large or no image; the message names it."""


class Heavy(Exception):
    """Decoding this image may take longer than this process can spare; see ``only_light``."""


_lightest_heavy: ContextVar[float] = ContextVar("lightest_heavy", default=float("inf"))


@contextmanager
def only_light(work: float) -> Iterator[None]:
    """Inside, ``open_image`` raises ``Heavy`` for an image of more pixels times scans than this."""
    before = _lightest_heavy.set(work)
    try:
        yield
    finally:
        _lightest_heavy.reset(before)


def decode_image(
    source: Source, name: str | None = None, max_pixels: int = MAX_PIXELS, channels: Channels = RGB
) -> Image.Image | ChannelImage:
    """Decode one image: loaded, upright, in mode ``RGB`` or of other ``channels``. See ``open_image``."""
    with open_image(source, name, max_pixels, channels) as photo:
        return photo.decode()


def too_slow(name: str, seconds: float) -> BadImage:
    """For an image whose decoding was ended because it took longer than so many seconds."""
    return BadImage(
        f"The image {name} takes more than {seconds:g} s of processor time, the limit of data.max_decode_seconds. Save "
        "it anew or remove it, or raise the limit if you trust the file."
    )


@contextmanager
def open_image(
    source: Source, name: str | None = None, max_pixels: int = MAX_PIXELS, channels: Channels = RGB
) -> Iterator["ImageFile"]:
    """Open one image and read its header.

    Args:
        name: what messages call the image; the path when left out.
        max_pixels: larger images are refused before their pixels are decoded.
        channels: of the decoded image; of others than red, green and blue of 8 bits it is a ``ChannelImage``, and
            ``.npy`` arrays are images, too.

    Raises:
        BadImage: here, or when it is decoded.
        Heavy: see ``only_light``.
    """
    is_content = isinstance(source, bytes)
    name = name or ("image" if is_content else printable(source))
    with io.BytesIO(source) if is_content else _open(source, name) as file:
        num_bytes = len(source) if is_content else os.fstat(file.fileno()).st_size
        if num_bytes == 0:
            raise BadImage(f"The image {name} is empty (zero bytes). Replace or remove it.")
        with _refusals(name, max_pixels):
            scans = check_work(source if is_content else file.fileno())
            values = None if channels.are_usual else _read_array(file, name, channels.count, max_pixels)
            image = None if values is not None else _identify(file, name, channels)
        if values is not None:
            yield ArrayFile(values, name)
            return
        with image:
            opened = ImageFile(image, file, name, max_pixels, channels)
            if scans * image.width * image.height > _lightest_heavy.get():
                raise Heavy
            yield opened


def is_image(source: Source) -> bool:
    """Whether a file or its first bytes begin as an image does, whatever it is called."""
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else _open(source, printable(source)) as file,
            _refusals("", MAX_PIXELS),
        ):
            check_work(source if isinstance(source, bytes) else file.fileno())
            with Image.open(file, formats=_marked()):
                return True
    except BadImage:
        return False


def to_upright(image: Image.Image | np.ndarray, channels: Channels = RGB) -> Image.Image | ChannelImage:
    """An image of any mode in mode ``RGB``, or of other ``channels``, turned as its EXIF block says.

    Args:
        image: or a uint8 array, RGB ``[H, W, 3]`` or grey ``[H, W]``; for other channels uint8 or uint16
            ``[H, W, channels]``, and ``[H, W]`` for one.

    Raises:
        BadImage: it cannot be decoded or converted, or is another array.
    """
    if 0 in (image.shape[:2] if isinstance(image, np.ndarray) else image.size):
        raise BadImage("An image without pixels: its width or its height is 0.")
    if isinstance(image, np.ndarray) and not channels.are_usual:
        shape = image.shape if image.ndim == 3 else (*image.shape, 1)
        if image.dtype not in (np.uint8, np.uint16) or len(shape) != 3 or shape[2] != channels.count:
            raise BadImage(
                f"An array of {image.dtype} {list(image.shape)} is no image of {channels.count} channels. Expected "
                f"uint8 or uint16 [height, width, {channels.count}]."
            )
        return ChannelImage.of_array(image.reshape(shape))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise BadImage(
                f"An array of {image.dtype} {list(image.shape)} is no image. Expected uint8 RGB [height, width, 3] or "
                "grey [height, width]."
            )
        image = Image.fromarray(np.ascontiguousarray(image))
    with _refusals("image", max(MAX_PIXELS, image.width * image.height)):
        image.load()
        return _converted(_upright(image, _orientation(image)), channels)


class ImageFile:
    """An open image, whose pixels are decoded when they are asked for.

    Args:
        image: as Pillow opened it.
        file: what it was opened from.
        channels: that it is decoded to.
    """

    def __init__(self, image: Image.Image, file: BinaryIO, name: str, max_pixels: int, channels: Channels = RGB):
        self.name = name
        self.max_pixels = max_pixels
        self.channels = channels
        self._image = image
        self._file = file
        self._decoded: Image.Image | ChannelImage | None = None
        if image.width * image.height > max_pixels:
            raise BadImage(_too_large(name, f"{image.width} x {image.height} pixels", max_pixels))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright. Other formats than JPEG may tell which side is up only after their pixels."""
        if not self._can_shrink():
            return self.decode().size
        width, height = self._image.size
        return (height, width) if self._orientation in ON_ITS_SIDE else (width, height)

    def decode(self) -> Image.Image | ChannelImage:
        """The whole image in mode ``RGB``, or of other ``channels``, upright."""
        if self._decoded is None:
            with _refusals(self.name, self.max_pixels):
                self._image.load()  # of other formats than JPEG, it may be what says which side is up
                known = isinstance(self._image, JpegImagePlugin.JpegImageFile)
                orientation = self._orientation if known else _orientation(self._image)
                self._decoded = _converted(_upright(self._image, orientation), self.channels)
        return self._decoded

    def decode_around(self, box: Box, size: Size, crop_first: bool = False) -> tuple[Image.Image, Box]:
        """What is in the box and around it, shrunk if that has more pixels than needed; the box in its coordinates.

        A JPEG that has not been decoded yet is shrunk as by ``decode_shrunk``; anything else comes as it is.

        Args:
            size: in pixels, that the box is going to be resized to.
            crop_first: the box is going to be cut out before it is resized. What lies below it may then be
                missing, for the time that takes. Otherwise all must be there: the sides of the image decide about
                Pillow's rounding.
        """
        if crop_first and self._can_shrink():
            self._leave_out_below(box[3])
        image, reduction = self.decode_shrunk((box[2] - box[0], box[3] - box[1]), size)
        return image, box if reduction == 1 else tuple(edge / reduction for edge in box)

    def decode_shrunk(self, extent: float | tuple[float, float], size: Size) -> tuple[Image.Image, int]:
        """The whole image, shrunk by the largest factor that leaves ``size`` of ``extent``; and that factor."""
        reduction = self._shrink(largest_reduction(extent, size)) if self._can_shrink() else 1
        return self.decode(), reduction

    def plain_jpeg(self) -> bytes | None:
        """The file, if any decoder of JPEGs gives the pixels of ``decode``; ``None`` otherwise.

        It is whole, sequential, upright, in colour or grey.
        """
        is_plain = type(self._image) is JpegImagePlugin.JpegImageFile and self._image.mode in ("RGB", "L")
        if not is_plain or self._decoded is not None or self._orientation in UPRIGHT:
            return None
        with _refusals(self.name, self.max_pixels):
            self._file.seek(0)
            content = self._file.read()
            return content if is_whole_and_sequential(io.BytesIO(content)) else None

    @cached_property
    def _orientation(self) -> int | None:
        """Of a JPEG, whose header has said it."""
        return _orientation(self._image)

    def _can_shrink(self) -> bool:
        if self._decoded is not None or not self.channels.are_usual:
            return False
        return isinstance(self._image, JpegImagePlugin.JpegImageFile)

    def _leave_out_below(self, bottom: float) -> None:
        rows = rows_to_decode(bottom)
        if self._orientation in UPRIGHT or (self._image.height - rows) * self._image.width < WORTHWHILE:
            return
        with _refusals(self.name, self.max_pixels):
            shorter = with_rows(self._file, rows)
        if shorter is not None:
            replace_file(self._image, shorter, rows)  # or all is decoded, with the same pixels above

    def _shrink(self, reduction: int) -> int:
        """Let the decoder shrink; returns the factor by which it will."""
        if reduction == 1:
            return 1
        with _refusals(self.name, self.max_pixels):
            wanted = self._image.width // reduction, self._image.height // reduction
            return reduction if self._image.draft(None, wanted) else 1


class ArrayFile(ImageFile):
    """An image that was read as an array ``[H, W, C]``."""

    def __init__(self, values: np.ndarray, name: str):
        self.name = name
        with _refusals(name, MAX_PIXELS):
            self._decoded = ChannelImage.of_array(values)

    def plain_jpeg(self) -> None:
        return None


def largest_reduction(extent: float | tuple[float, float], size: Size) -> int:
    """The largest factor of ``REDUCTIONS``, or 1, that leaves ``size`` of an extent.

    Args:
        extent: pixels of both sides, or width and height.
    """
    across, down = extent if isinstance(extent, tuple) else (extent, extent)
    height, width = sides(size)
    return next((factor for factor in REDUCTIONS if across >= factor * width and down >= factor * height), 1)


@cache
def _marked() -> tuple[str, ...]:
    """Those that begin with a mark of their own and can be read here."""
    return *MARKED, *(format.name for format in readers.FORMATS if readers.can_read(format))


def _read_array(file: BinaryIO, name: str, channels: int, max_pixels: int) -> np.ndarray | None:
    def check_size(width: int, height: int) -> None:
        if width * height > max_pixels:
            raise BadImage(_too_large(name, f"{width} x {height} pixels", max_pixels))
        if width * height * channels > _lightest_heavy.get():
            raise Heavy

    return arrays.read_array(file, channels, check_size)


def _identify(file: BinaryIO, name: str, channels: Channels = RGB) -> Image.Image:
    try:
        return Image.open(file, formats=_marked() + UNMARKED)
    except UnidentifiedImageError:
        if not channels.are_usual and arrays.needs_tifffile(file):
            raise BadImage(f"Cannot open the image {name}. {arrays.MISSING}") from None
        file.seek(0)
        format = readers.format_of(file.read(readers.HEAD))
        if format is None or readers.can_read(format):
            raise
        raise BadImage(f"Cannot open the image {name}. {format.missing}") from None


def _open(path: str | os.PathLike, name: str) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe would wait for its other end
            raise BadImage(f"Cannot open the image {name}: it is a pipe or a device, not a file.")
        return open(path, "rb")
    except OSError as error:
        reason = "the link leads to nothing" if os.path.islink(path) else error.strerror or error
        raise BadImage(f"Cannot open the image {name}: {reason}.") from error
    except ValueError as error:  # a zero byte in the name
        raise BadImage(f"Cannot open the image {name!r}: {error}.") from error


@contextmanager
def _refusals(name: str, max_pixels: int) -> Iterator[None]:
    """Whatever goes wrong in a decoder as a ``BadImage``."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # Pillow refuses at twice this number
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (BadImage, Heavy):
        raise
    except TooMuchWork as error:
        raise BadImage(
            f"The image {name} would take too long to decode: {error}. Save it anew, or remove it."
        ) from error
    except UnidentifiedImageError as error:
        raise BadImage(f"{name} is not an image, or is damaged at its start. Replace or remove it.") from error
    except Image.DecompressionBombError as error:
        raise BadImage(_too_large(name, "too many pixels", max_pixels)) from error
    except Exception as error:
        # Decoders meet a damaged file with whatever their code happens to raise: OSError mostly,
        # but SyntaxError, ValueError, struct.error, IndexError, MemoryError and others as well.
        raise BadImage(f"Cannot decode the image {name}: {_reason(error)}. Replace or remove it.") from error


def _too_large(name: str, size: str, max_pixels: int) -> str:
    return (
        f"The image {name} has {size}, more than the limit of {max_pixels:,}. "
        "Make it smaller, or raise data.max_pixels if you trust the file."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    return str(error).strip().rstrip(".") or type(error).__name__


def _upright(image: Image.Image, orientation: int | None) -> Image.Image:
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _orientation(image: Image.Image) -> int | None:
    try:
        check_exif(image.info.get("exif") or b"")
        if len(image.info.get("Raw profile type exif", "")) > 2 * EXIF_AS_USUAL:
            return None
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged EXIF block does not damage the picture
        return None
    return orientation if isinstance(orientation, int) else None


def _converted(image: Image.Image, channels: Channels) -> Image.Image | ChannelImage:
    if not channels.are_usual:
        return with_channels(image, channels)
    if image.mode.startswith("I"):
        return _high_byte(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; convert it to 8 or 16 bits")
    return on_white(image)


def _high_byte(image: Image.Image) -> Image.Image:
    """8 bits of 16: Pillow's own conversion clips at 255 and turns most of the picture white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its pixels are 32-bit integers; convert it to 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))
