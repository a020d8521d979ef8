"""From the bytes of an image file to the network's input; as a program, for the pictures that come through a pipe.

Each comes with its length in four bytes before it, and so does each answer: a byte that is 0 before the
input, and one of ``REFUSALS`` before the reason.
"""

import contextlib
import ctypes
import io
import json
import signal
import sys

import numpy as np
from fitting import fit, lies_on_its_side, resized_size, shrink_factor
from PIL import Image, ImageOps
from work import EXIF_AS_USUAL, TooMuchWork, check_exif, check_work

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")  # Pillow's others hold no photos
REFUSALS = {Image.DecompressionBombError: 1, TooMuchWork: 2, Exception: 3}
LARGE = 300 << 20  # bytes that a process has kept after a picture, for which it is better replaced
PR_SET_PDEATHSIG, M_MMAP_THRESHOLD = 1, -3


def network_input(data, contract, max_pixels):
    """Float32 ``[3, height, width]`` or uint8 ``[height, width, 3]``, to the bit as inference_client.py computes it."""
    check_work(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        is_jpeg, shrink = image.format in ("JPEG", "MPO"), 1
        # of others the block may come after the pixels, and would have them decoded here
        width, height = image.size[::-1] if is_jpeg and lies_on_its_side(image) else image.size
        across, down = resized_size(contract, width, height)
        is_opencv = contract.get("resampling") == "opencv"
        if max(width * height, is_opencv * across * down) > max_pixels:  # OpenCV resizes all of it
            raise Image.DecompressionBombError
        if is_jpeg:  # the decoder shrinks a large one, as long as there are pixels enough
            shrink = shrink_factor(contract, width, height)
            image.draft(None, (image.width // shrink, image.height // shrink))
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF block does not damage the picture
            check_exif(image.info.get("exif") or b"")
            if len(image.info.get("Raw profile type exif", "")) <= 2 * EXIF_AS_USUAL:
                ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F" or (image.mode == "I" and not 0 <= image.getextrema()[0] <= image.getextrema()[1] < 65536):
        raise ValueError("its values are of more than 16 bits")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    opacity = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    canvas = Image.composite(image.convert("RGB"), Image.new("RGB", image.size, "white"), opacity)
    pixels = fit(canvas, contract, *(canvas.size if shrink == 1 else (width, height)), shrink)
    mean, std = np.array(contract["mean"]), np.array(contract["std"])
    gain, shift = np.float32(1 / (255 * std)), np.float32(-mean / std)
    is_uint8 = contract["input"] == "uint8"
    return np.ascontiguousarray(pixels if is_uint8 else (pixels * gain + shift).transpose(2, 0, 1))


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
