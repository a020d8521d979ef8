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
from importlib import import_module

import numpy as np
from PIL import Image, ImageOps
from work import EXIF_AS_USUAL, TooMuchWork, check_exif, check_work

FILTERS = {"nearest": "NEAREST", "linear": "BILINEAR", "cubic": "BICUBIC", "area": "BOX", "lanczos": "LANCZOS"}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")  # Pillow's others hold no photos
REFUSALS = {Image.DecompressionBombError: 1, TooMuchWork: 2, Exception: 3}
LARGE = 300 << 20  # bytes that a process has kept after a picture, for which it is better replaced
PR_SET_PDEATHSIG, M_MMAP_THRESHOLD = 1, -3


def network_input(data, contract, max_pixels):
    """Float32 ``[3, size, size]`` or uint8 ``[size, size, 3]``, to the bit as inference_client.py computes it."""
    check_work(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        whole, size, shrink = image.size, contract["image_size"], 1
        scale, is_opencv = contract["resize_size"] / min(whole), contract.get("resampling") == "opencv"
        if whole[0] * whole[1] * max(1, is_opencv * scale**2) > max_pixels:  # OpenCV resizes all of it
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO"):  # the decoder shrinks a large one, as long as there are pixels enough
            factors = (n for n in contract["jpeg_reductions"] if all(side >= n * round(side * scale) for side in whole))
            shrink = next(factors, 1)
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
    width, height = canvas.size if shrink == 1 else sorted(whole, reverse=canvas.width > canvas.height)
    sides = round(width * scale), round(height * scale)
    (left, top), (across, down) = ((side - size) // 2 for side in sides), (width / sides[0], height / sides[1])
    box = [edge / shrink for edge in (left * across, top * down, (left + size) * across, (top + size) * down)]
    if is_opencv:
        number = list(FILTERS).index(contract["interpolation"])
        pixels = import_module("cv2").resize(np.asarray(canvas), sides, interpolation=number)
        pixels = np.ascontiguousarray(pixels[top : top + size, left : left + size])
    else:
        pixels = np.asarray(canvas.resize((size, size), Image.Resampling[FILTERS[contract["interpolation"]]], box=box))
    mean, std = np.array(contract["mean"]), np.array(contract["std"])
    gain, shift = np.float32(1 / (255 * std)), np.float32(-mean / std)
    return pixels if contract["input"] == "uint8" else np.ascontiguousarray((pixels * gain + shift).transpose(2, 0, 1))


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
