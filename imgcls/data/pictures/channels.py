"""Images of any number of channels, and of more than 8 bits each, beside red, green and blue of 8 bits.

A ``ChannelImage`` holds values from 0 to 255 as 32-bit numbers, whatever depth a file has: 16 bits are divided by
257, so that 65535 is 255 and nothing is lost. It is cropped, resized and turned by the same steps as a Pillow image.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

WHITE = 255.0
STEP_OF_16_BITS = 257
"""65535 is so many times 255."""

ORDERS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""What the channels of ordinary images are, by their number: grey, colours, opacity."""

AS_STORED = "as stored"
"""The order of any other number."""

DEPTHS = (8, 16)


@dataclass(frozen=True)
class Channels:
    """The number of channels that a network is shown, and their depth in bits, one of ``DEPTHS``."""

    count: int = 3
    depth: int = 8

    @classmethod
    def of(cls, count: int, depth: int | None = None) -> "Channels":
        """Of a number of channels; 16 bits unless they are three or a ``depth`` is given."""
        return cls(count, depth or (8 if count == 3 else 16))

    @property
    def are_usual(self) -> bool:
        """Whether they are those of a Pillow image in mode ``RGB``."""
        return self == RGB

    @property
    def dtype(self) -> type:
        """Of the arrays of images: values from 0 to 255 in both, whole numbers of 8 bits."""
        return np.uint8 if self.depth == 8 else np.float32

    @property
    def order(self) -> str:
        """What they are."""
        return ORDERS.get(self.count, AS_STORED)

    def __str__(self) -> str:
        return f"{self.count} channel{'s' * (self.count > 1)} ({self.order}) of {self.depth} bits"


RGB = Channels()


class ChannelImage:
    """One Pillow image of mode ``F`` for each channel, values from 0 to 255.

    It has what the steps of ``transforms`` ask of a Pillow image. As an array it is float32 ``[H, W, C]``; what an
    interpolation has taken beyond black and white is cut off, as Pillow does with 8 bits.
    """

    def __init__(self, bands: Iterable[Image.Image]):
        self.bands = tuple(bands)

    @classmethod
    def of_array(cls, values: np.ndarray) -> "ChannelImage":
        """From ``[H, W, C]``: uint8, uint16, or float32 from 0 to 255.

        Raises:
            ValueError: values of another type.
        """
        if values.dtype == np.uint16:
            values = values.astype(np.float32) / np.float32(STEP_OF_16_BITS)
        elif values.dtype not in (np.uint8, np.float32):
            raise ValueError(f"its values are {values.dtype}; convert them to 8 or 16 bits (uint8, uint16)")
        bands = values.astype(np.float32, copy=False).transpose(2, 0, 1)
        return cls(Image.fromarray(np.ascontiguousarray(band)) for band in bands)

    @classmethod
    def filled(cls, size: tuple[int, int], colour: Iterable[float]) -> "ChannelImage":
        """Of width and height ``size`` in one colour."""
        return cls(Image.new("F", size, value) for value in colour)

    @property
    def size(self) -> tuple[int, int]:
        return self.bands[0].size

    @property
    def width(self) -> int:
        return self.bands[0].width

    @property
    def height(self) -> int:
        return self.bands[0].height

    def resize(self, size: tuple[int, int], resample: int, box: tuple | None = None) -> "ChannelImage":
        return ChannelImage(band.resize(size, resample, box=box) for band in self.bands)

    def crop(self, box: tuple[int, int, int, int]) -> "ChannelImage":
        return ChannelImage(band.crop(box) for band in self.bands)

    def transpose(self, method: Image.Transpose) -> "ChannelImage":
        return ChannelImage(band.transpose(method) for band in self.bands)

    def rotate(self, angle: float, resample: int) -> "ChannelImage":
        return ChannelImage(band.rotate(angle, resample) for band in self.bands)

    def paste(self, part: "ChannelImage", place: tuple[int, int]) -> None:
        for band, of_part in zip(self.bands, part.bands, strict=True):
            band.paste(of_part, place)

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        values = np.stack([np.asarray(band) for band in self.bands], axis=-1)
        return np.clip(values, 0, WHITE, out=values).astype(dtype or np.float32, copy=False)


def new_image(like: Image.Image | ChannelImage, size: tuple[int, int], colour: tuple) -> Image.Image | ChannelImage:
    """In one colour, of the kind of another image."""
    if isinstance(like, ChannelImage):
        return ChannelImage.filled(size, colour)
    return Image.new("RGB", size, colour)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Any image ``[H, W, C]`` of values from 0 to 255 as people see it, uint8 ``[H, W, 3]``.

    Grey of one or two channels; the first three of more.
    """
    shown = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    return shown if shown.dtype == np.uint8 else np.round(shown).astype(np.uint8)


def with_channels(image: Image.Image, channels: Channels) -> Image.Image | ChannelImage:
    """A loaded, upright Pillow image that is not ``RGB`` of 8 bits, as so many channels.

    One is grey, two are grey and opacity, three are colours, four are colours and opacity; without opacity of its
    own an image is opaque. What has no channel for opacity is laid on white. Grey of 16 bits keeps them. Four
    channels of a file that says nothing of opacity are taken as they are.

    Raises:
        ValueError: an image has no such channels.
    """
    count = channels.count
    if count not in ORDERS:
        raise ValueError(
            f"it has {len(image.getbands())} channels and the network takes {count} (model.args.in_channels): "
            f"such images are TIFF or .npy files with {count} channels"
        )
    if image.mode.startswith("I"):
        grey = _sixteen_bits(image)
        opaque = np.full_like(grey, WHITE)
        return ChannelImage.of_array(np.stack([*([grey] * (1 if count < 3 else 3)), *([opaque] * (1 - count % 2))], 2))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; convert it to 8 or 16 bits")
    if image.mode == "RGBX" and count == 4:
        return _split(image)
    if count % 2 == 0:
        whole = image.convert("RGBA")
        colours = whole.convert("RGB")
        opacity = whole.getchannel("A")
    else:
        colours, opacity = on_white(image), None
    bands = [colours.convert("L")] if count < 3 else list(colours.split())
    return ChannelImage(band.convert("F") for band in (*bands, *(() if opacity is None else (opacity,))))


def on_white(image: Image.Image) -> Image.Image:
    """In mode ``RGB``; what is transparent shows white."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGB", rgba.size, (255, 255, 255))
        canvas.paste(rgba, mask=rgba.getchannel("A"))
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")


def _split(image: Image.Image) -> ChannelImage:
    return ChannelImage(band.convert("F") for band in image.split())


def _sixteen_bits(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its pixels are 32-bit integers; convert it to 8 or 16 bits")
    return values.astype(np.float32) / np.float32(STEP_OF_16_BITS)
