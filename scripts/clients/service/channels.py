"""Pictures of other channels than red, green and blue of 8 bits: grey, with opacity, any number of them, 16 bits."""

import io

import numpy as np
from fitting import fit, input_size
from PIL import Image

ORDERS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
OTHER_ORDER = "as stored"
NPY = b"\x93NUMPY"
MOST = 1024
STEP = np.float32(257)  # 65535 is so many times 255


def count_of(contract):
    return contract.get("channels", 3)


def are_usual(contract):
    """Whether a picture is red, green and blue of 8 bits, as where the contract says nothing."""
    return (count_of(contract), contract.get("depth", 8)) == (3, 8)


def check_channels(contract):
    """Raise ``ValueError`` if what ``inference.yaml`` says of channels makes no sense."""
    count, depth, mean, std = count_of(contract), contract.get("depth", 8), contract["mean"], contract["std"]
    if not (type(count) is int and 1 <= count <= MOST and depth in (8, 16)):
        raise ValueError(f"in inference.yaml channels is no number up to {MOST}, or depth not 8 or 16")
    if contract["channel_order"] != ORDERS.get(count, OTHER_ORDER) or (contract["input"] == "uint8" and depth == 16):
        raise ValueError("in inference.yaml channel_order contradicts channels, or depth contradicts input")
    if not (len(mean) == len(std) == count and np.isfinite(mean + std).all() and min(std) > 0):
        what = "three numbers" if count == 3 else f"{count} numbers"
        raise ValueError(f"mean and std are not {what} each to compute with")
    is_opencv = contract.get("resampling") == "opencv"
    if (contract["jpeg_reductions"] == []) != (is_opencv or not are_usual(contract)):
        raise ValueError("in inference.yaml jpeg_reductions contradicts resampling")
    if is_opencv and not are_usual(contract):
        raise ValueError("in inference.yaml resampling is opencv, which is for RGB of 8 bits")


def input_of(contract):
    """Shape and type of the network's input for one picture."""
    size, count = input_size(contract), count_of(contract)
    return ((count, *size), np.float32) if contract["input"] == "float" else ((*size, count), np.uint8)


def pixels_of_bands(bands, contract):
    """As the network sees a picture of these channels, ``[height, width, channels]``, values from 0 to 255."""
    pixels = fit(bands, contract, *bands[0].size, 1)
    return pixels if contract.get("depth", 8) == 16 else np.round(pixels).astype(np.uint8)


def white(contract):
    """The content of a file: a white picture of one pixel."""
    if are_usual(contract):
        return b"P6 1 1 255 \xff\xff\xff"
    file = io.BytesIO()
    np.save(file, np.full((1, 1, count_of(contract)), 255, np.uint8))
    return file.getvalue()


def bands_of_array(data, contract, max_pixels):
    """Of an ``.npy`` file's bytes, uint8 or uint16 ``[height, width, channels]``: a Pillow image for each channel."""
    file, count = io.BytesIO(data), count_of(contract)
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, in_columns, kind = header(file)
    if kind.newbyteorder("=") not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ValueError("its values are not of 8 or 16 bits")
    shape = (*shape, 1) if len(shape) == 2 else shape
    if len(shape) != 3 or shape[2] != count or min(shape) < 1:
        raise ValueError(f"it is no array [height, width, {count}]")
    if shape[0] * shape[1] > max_pixels:
        raise Image.DecompressionBombError
    values = np.frombuffer(data, kind, int(np.prod(shape)), file.tell()).reshape(shape, order="CF"[in_columns])
    values = values.astype(np.float32) / (STEP if kind.itemsize == 2 else np.float32(1))
    return [Image.fromarray(np.ascontiguousarray(values[..., channel])) for channel in range(count)]


def bands_of(image, contract):
    """Of a decoded, upright picture whose 16 bits are none below 0: a Pillow image of mode F for each channel."""
    count = count_of(contract)
    if count not in ORDERS:
        raise ValueError(f"pictures of {count} channels are .npy arrays")
    if image.mode.startswith("I"):
        grey = Image.fromarray(np.asarray(image).astype(np.float32) / STEP)
        return [grey] * (1 if count < 3 else 3) + [Image.new("F", image.size, 255)] * (1 - count % 2)
    if image.mode == "RGBX" and count == 4:
        return [band.convert("F") for band in image.split()]
    whole = image.convert("RGBA") if image.has_transparency_data or count % 2 == 0 else None
    colours = image.convert("RGB") if whole is None else whole.convert("RGB")
    if count % 2 and whole is not None:
        colours = Image.composite(colours, Image.new("RGB", image.size, "white"), whole.getchannel("A"))
    bands = [colours.convert("L")] if count < 3 else list(colours.split())
    return [band.convert("F") for band in (*bands, *([whole.getchannel("A")] if count % 2 == 0 else []))]
