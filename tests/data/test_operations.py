"""Operations of the augmentation policies: what each does to a picture whose result can be worked out."""

import json

import numpy as np
import pytest
from locations import REFERENCE
from PIL import Image

from imgcls.data.pictures.operations import FILL, OPERATIONS

EXPECTED = json.loads((REFERENCE / "augment.json").read_text())["autoaugment"]
LUMA = np.array([299, 587, 114]) / 1000


def picture(height: int = 12, width: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def apply(name: str, array: np.ndarray, amount: float = 0) -> np.ndarray:
    result = OPERATIONS[name].apply(Image.fromarray(array), amount)
    assert result.mode == "RGB"
    return np.asarray(result)


def blend(array: np.ndarray, other: np.ndarray | float, factor: float) -> np.ndarray:
    """An enhancer's arithmetic: ``factor`` 0 is ``other``, 1 is the picture."""
    return np.clip(other + (array.astype(float) - other) * factor, 0, 255)


@pytest.mark.parametrize("name", EXPECTED["magnitudes"])
def test_amounts_are_those_of_the_original(name):
    levels = np.array([OPERATIONS[name].amount(level / 9) for level in range(10)])
    if name == "posterize":
        levels = levels.round()
    assert levels == pytest.approx(EXPECTED["magnitudes"][name], abs=1e-8)


def test_signs_and_names_are_those_of_the_original():
    described = EXPECTED["operations"]
    assert set(OPERATIONS) == {*described, "identity"}
    signed = {name for name, text in described.items() if "m*s" in text or "*s" in text}
    assert {name for name, operation in OPERATIONS.items() if operation.signed} == signed | {"rotate"}
    assert list(FILL) == EXPECTED["fill"]


@pytest.mark.parametrize("share", [0.25, -0.25, 0.3])
@pytest.mark.parametrize(("name", "axis"), [("shearX", 1), ("shearY", 0)])
def test_shear_moves_along_one_axis_in_proportion_to_the_other(name, axis, share):
    size = 24
    place = np.arange(size) + 0.5
    along, across = (place[None, :], place[:, None]) if axis == 1 else (place[:, None], place[None, :])
    ramp = np.broadcast_to(10 * along, (size, size))
    array = np.repeat(ramp.round().astype(np.uint8)[..., None], 3, axis=2)
    source = along + share * across
    expected = np.broadcast_to(10 * source, (size, size))
    inside = np.broadcast_to((source > 2) & (source < size - 2), (size, size))
    outside = np.broadcast_to((source < 0) | (source >= size), (size, size))
    result = apply(name, array, share)
    assert inside.sum() > 300
    assert outside.any()
    # Pillow's cubic bends such a ramp by at most 1, and cuts off what is behind the decimal point.
    assert np.abs(result[inside] - expected[inside][:, None]).max() < 2
    assert (result[outside] == FILL).all()


def test_shear_is_cubic():
    """A step overshoots under a cubic kernel, and under no other that Pillow has here."""
    step = np.full((8, 16, 3), 100, np.uint8)
    step[:, 8:] = 200
    result = apply("shearX", step, 0.1)
    assert result.min() < 100
    assert result.max() > 200


@pytest.mark.parametrize("pixels", [3, -3])
def test_translate_moves_whole_pixels_and_fills_grey(pixels):
    array = picture(12, 10)
    kept = np.s_[:, :-3] if pixels > 0 else np.s_[:, 3:]
    origin = np.s_[:, 3:] if pixels > 0 else np.s_[:, :-3]
    moved = np.full_like(array, 128)
    moved[kept] = array[origin]
    assert (apply("translateX", array, pixels / 10) == moved).all()
    upright = array.transpose(1, 0, 2)
    assert (apply("translateY", upright, pixels / 10) == moved.transpose(1, 0, 2)).all()


def test_rotation_by_quarters_and_by_an_angle():
    array = picture(9, 9)
    assert (apply("rotate", array, 90) == np.rot90(array)).all()
    result = apply("rotate", array, 30)
    corners = result[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == FILL).all()
    known = {tuple(pixel) for pixel in array.reshape(-1, 3).tolist()} | {FILL}
    assert {tuple(pixel) for pixel in result.reshape(-1, 3).tolist()} <= known  # nearest: no new colours
    # The original's way: rotate with an alpha channel, lay the result on grey.
    turned = Image.fromarray(array).convert("RGBA").rotate(30)
    laid = Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert("RGB")
    assert (result == np.asarray(laid)).all()


@pytest.mark.parametrize("change", [-0.9, -0.3, 0.0, 0.5, 0.9])
def test_enhancers(change):
    array, factor = picture(), 1 + change
    grey = np.round(array @ LUMA)
    expected = {
        "color": blend(array, grey[..., None], factor),
        "contrast": blend(array, np.round(grey.mean()), factor),
        "brightness": blend(array, 0, factor),
    }
    for name, values in expected.items():
        difference = np.abs(apply(name, array, change).astype(float) - values)
        assert difference.max() <= 2 + abs(change), name  # the grey is rounded before it is scaled
        assert difference.mean() < 0.8, name
    smooth = array.astype(float)
    shifted = [np.roll(smooth, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    smooth = (sum(shifted) + 4 * smooth) / 13
    sharpened = blend(array, smooth, factor)[1:-1, 1:-1]
    assert np.abs(apply("sharpness", array, change)[1:-1, 1:-1].astype(float) - sharpened).max() <= 2


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_posterize_keeps_the_high_bits(bits):
    array = picture()
    assert (apply("posterize", array, bits) == array >> (8 - bits) << (8 - bits)).all()
    assert (apply("posterize", array, bits + 0.44) == apply("posterize", array, bits)).all()


@pytest.mark.parametrize("threshold", [0.0, 28.444444, 142.222222, 256.0])
def test_solarize_inverts_from_the_threshold_on(threshold):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert (apply("solarize", ramp, threshold) == np.where(ramp >= threshold, 255 - ramp, ramp)).all()


def test_operations_without_an_amount():
    array = picture()
    assert (apply("identity", array) == array).all()
    assert (apply("invert", array) == 255 - array).all()
    narrow = (array // 4 + 60).astype(np.uint8)
    low, high = narrow.min(axis=(0, 1)), narrow.max(axis=(0, 1))
    stretched = (narrow.astype(float) - low) * 255 / (high - low)
    assert np.abs(apply("autocontrast", narrow) - stretched).max() <= 1
    values = picture(64, 64) // 4 + 60
    ordered = np.sort(values.reshape(-1, 3), axis=0)
    equal = apply("equalize", ordered.reshape(values.shape)).reshape(-1, 3).astype(int)
    assert (np.diff(equal, axis=0) >= 0).all()
    assert np.abs(equal - np.linspace(0, 255, len(equal))[:, None]).max() <= 20  # of 255; it was 60 at either end
