"""Any image file, or its bytes, as an upright RGB image.

What a photo may be: JPEG (grey, CMYK and YCCK too), PNG (palette, alpha, 16 bits), WebP, GIF (first
frame), BMP, TIFF and a few more. EXIF orientation is applied. Transparent pixels are laid on white,
which is what cut-outs and logos are drawn for. ICC profiles are not applied.
"""

import io
import os
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from imgcls.data.paths import printable
from imgcls.errors import UserError

# Pillow opens anything it has a reader for, and some readers start other programs (EPS does) or
# hold no photos. Only these are tried, whatever the file is called.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO", "PCX", "SGI")

# The size at which Pillow itself refuses.
MAX_PIXELS = 178_956_970

BACKGROUND = (255, 255, 255)

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    source: str | os.PathLike | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode one image.

    Args:
        source: a path, or the content of a file.
        name: what messages call the image; the path when left out.
        max_pixels: larger images are refused before their pixels are decoded.

    Returns:
        A loaded image in mode ``RGB``, upright.

    Raises:
        UserError: the file is missing, empty, truncated, too large or no image; the message names it.
    """
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), len(source), name or "image", max_pixels)
    name = name or printable(source)
    try:
        with open(source, "rb") as file:
            return _decode(file, os.fstat(file.fileno()).st_size, name, max_pixels)
    except OSError as error:
        raise UserError(f"Cannot open the image {name}: {error.strerror or error}.") from error


def _decode(file: io.BufferedIOBase, num_bytes: int, name: str, max_pixels: int) -> Image.Image:
    if num_bytes == 0:
        raise UserError(f"The image {name} is empty (zero bytes). Replace or remove it.")
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # Pillow refuses at twice this number
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height <= max_pixels:
                    image.load()
                    return _to_rgb(_upright(image))
                size = f"{image.width} x {image.height} pixels"
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image, or is damaged at its start. Replace or remove it.") from error
    except Image.DecompressionBombError as error:
        raise UserError(_too_large(name, "too many pixels", max_pixels)) from error
    except Exception as error:
        # Decoders meet a damaged file with whatever their code happens to raise: OSError mostly,
        # but SyntaxError, ValueError, struct.error, IndexError, MemoryError and others as well.
        raise UserError(f"Cannot decode the image {name}: {_reason(error)}. Replace or remove it.") from error
    raise UserError(_too_large(name, size, max_pixels))


def _too_large(name: str, size: str, max_pixels: int) -> str:
    return (
        f"The image {name} has {size}, more than the limit of {max_pixels:,}. "
        "Make it smaller, or raise data.max_pixels if you trust the file."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    return str(error).strip().rstrip(".") or type(error).__name__


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged EXIF block does not damage the picture
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _high_byte(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; convert it to 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGB", rgba.size, BACKGROUND)
        canvas.paste(rgba, mask=rgba.getchannel("A"))
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """8 bits of 16: Pillow's own conversion clips at 255 and turns most of the picture white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its pixels are 32-bit integers; convert it to 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))
