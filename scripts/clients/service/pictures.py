"""From the bytes of an image file to the network's input; as a program, for the pictures that come through a pipe.

Each comes with its length in four bytes before it, and so does each answer: a byte that is 0 before the
input, and one of ``REFUSALS`` before the reason.
"""

import contextlib
import ctypes
import io
import json
import math
import signal
import sys

import numpy as np
from channels import NPY, are_usual, bands_of, bands_of_array, pixels_of_bands
from fitting import fit, resized_size, shrink_factor
from PIL import Image, ImageOps
from work import EXIF_AS_USUAL, TooMuchWork, check_exif, check_work

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")  # Pillow's others hold no photos
REFUSALS = {Image.DecompressionBombError: 1, TooMuchWork: 2, Exception: 3}
LARGE = 300 << 20  # bytes that a process has kept after a picture, for which it is better replaced
PR_SET_PDEATHSIG, M_MMAP_THRESHOLD = 1, -3


def network_input(data, contract, max_pixels):
    """Float32 ``[3, height, width]`` or uint8 ``[height, width, 3]``, to the bit as inference_client.py computes it."""
    pixels, (mean, std) = pixels_of(data, contract, max_pixels), np.array([contract["mean"], contract["std"]])
    gain, shift = np.float32(1 / (255 * std)), np.float32(-mean / std)
    if contract["input"] == "uint8":
        return np.ascontiguousarray(pixels)
    return np.ascontiguousarray((pixels * gain + shift).transpose(2, 0, 1))


def pixels_of(data, contract, max_pixels):
    """The picture as the network sees it, ``[height, width, channels]``, values from 0 to 255."""
    if not are_usual(contract) and data.startswith(NPY):
        return pixels_of_bands(bands_of_array(data, contract, max_pixels), contract)
    check_work(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        turned, shrink = _is_turned(image), 1
        width, height = image.size[::-1] if turned else image.size
        resized = 0
        if contract.get("resampling") == "opencv":  # which resizes all of it, on whichever side it lies
            resized = max(math.prod(resized_size(contract, *sides)) for sides in (image.size, image.size[::-1]))
        if max(width * height, resized) > max_pixels:
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO"):  # the decoder shrinks a large one, as long as there are pixels enough
            shrink = shrink_factor(contract, width, height)
            image.draft(None, (image.width // shrink, image.height // shrink))
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF block does not damage the picture
            check_exif(image.info.get("exif") or b"")
            if len(image.info.get("Raw profile type exif", "")) <= 2 * EXIF_AS_USUAL:
                ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F" or (image.mode == "I" and not 0 <= image.getextrema()[0] <= image.getextrema()[1] < 65536):
        raise ValueError("its values are of more than 16 bits")
    if not are_usual(contract):
        return pixels_of_bands(bands_of(image, contract), contract)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    opacity = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    canvas = Image.composite(image.convert("RGB"), Image.new("RGB", image.size, "white"), opacity)
    return fit(canvas, contract, *(canvas.size if shrink == 1 else (width, height)), shrink)


def _is_turned(image):
    """Whether a picture's EXIF block says that it lies on its side; a damaged block says nothing.

    Nor does one behind the pixels, as a PNG may have: they would be read here, and damage to them go unseen.
    """
    if image.format == "PNG" and "exif" not in image.info:
        return False
    with contextlib.suppress(Exception):
        check_exif(image.info.get("exif") or b"")
        if len(image.info.get("Raw profile type exif", "")) <= 2 * EXIF_AS_USUAL:
            return image.getexif().get(274) in (5, 6, 7, 8)
    return False


def give_memory_back():
    """Let what a large picture took be free for others as soon as it is free here; glibc would keep more and more."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)


def answer(data, contract, max_pixels):
    try:
        return bytes(1) + network_input(data, contract, max_pixels).tobytes()
    except Exception as error:  # decoders meet a damaged file with whatever their code happens to raise
        return bytes([next(code for kind, code in REFUSALS.items() if isinstance(error, kind))]) + str(error).encode()


def main():
    contract, max_pixels = json.loads(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):  # which whole groups get, and what has begun is to be answered
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    give_memory_back()
    pictures, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(b"!")  # ready
    answers.flush()
    while head := pictures.read(4):
        told = answer(pictures.read(int.from_bytes(head, "big")), contract, max_pixels)
        answers.write(len(told).to_bytes(4, "big") + told)
        answers.flush()


if __name__ == "__main__":
    main()
