"""Transforms: the original's geometry and order, and what is refused."""

import json
import math

import numpy as np
import pytest
from locations import REFERENCE
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.pictures.crops import (
    INTERPOLATIONS,
    ResizeCentreCrop,
    centre_crop_box,
    random_crop_box,
    resize_short_size,
)
from imgcls.data.pictures.transforms import ColorJitter, HorizontalFlip, RandomRotation, eval_transform, shift_hue
from imgcls.errors import UserError

EXPECTED = json.loads((REFERENCE / "augment.json").read_text())
SIZES = [(500, 375), (375, 500), (224, 224), (1, 1), (2, 900), (3000, 7), (33, 32)]


def rng(seed=0):
    return np.random.default_rng(seed)


def photo(width=96, height=64, seed=0):
    """Smooth colours with some noise, so that resampling has something to do."""
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=-1)
    noise = rng(seed).normal(0, 12, base.shape)
    return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))


class Recorder:
    """A generator that notes what is drawn from it."""

    def __init__(self, seed):
        self.generator = rng(seed)
        self.draws = []

    def uniform(self, low, high):
        self.draws.append(("uniform", low, high, value := self.generator.uniform(low, high)))
        return value

    def integers(self, low, high, endpoint):
        assert endpoint
        self.draws.append(("integers", low, high, value := self.generator.integers(low, high, endpoint=True)))
        return value


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_crop_follows_the_original(width, height):
    crop = EXPECTED["random_crop"]
    assert crop["draws_in_order"] == ["aspect", "area share", "top", "left"]
    defaults = crop["defaults"]
    scale = (defaults["lower_scale"], defaults["upper_scale"])
    ratio = (defaults["lower_ratio"], defaults["upper_ratio"])
    for seed in range(200):
        recorder = Recorder(seed)
        left, top, right, bottom = random_crop_box(width, height, scale, ratio, recorder)
        aspect, share, top_draw, left_draw = recorder.draws
        a = aspect[3]
        assert aspect[1:3] == ratio
        bound = min((height / width) * a, (width / height) / a)
        assert share[1:3] == pytest.approx((min(scale[0], bound), min(1, bound)))
        area = height * width * share[3]
        w = min(max(1, int(math.sqrt(area) * math.sqrt(a))), width)
        h = min(max(1, int(math.sqrt(area) / math.sqrt(a))), height)
        assert (right - left, bottom - top) == (w, h)
        assert (top_draw[1:3], left_draw[1:3]) == ((0, height - h), (0, width - w))
        assert (top, left) == (top_draw[3], left_draw[3])
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_crop_reaches_every_border():
    boxes = np.array([random_crop_box(20, 10, (0.08, 1.0), (0.75, 4 / 3), rng(seed)) for seed in range(3000)])
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert boxes[:, 2:].max(axis=0).tolist() == [20, 10]


def test_resize_short_rounds_as_python_does():
    assert EXPECTED["resize_short"]["scale"] == "resize_short_size / min(H, W)"
    assert resize_short_size(500, 375, 256) == (341, 256)
    assert resize_short_size(375, 500, 256) == (256, 341)
    assert resize_short_size(77, 77, 256) == (256, 256)
    assert resize_short_size(64, 101, 32) == (32, 50)  # 50.5 goes to the even number
    assert resize_short_size(64, 103, 32) == (32, 52)  # and so does 51.5


def test_centre_crop_follows_the_original():
    assert EXPECTED["centre_crop"] == {"left": "(W - size) // 2", "top": "(H - size) // 2"}
    assert centre_crop_box(341, 256, 224) == (58, 16, 282, 240)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "area", "lanczos"])
@pytest.mark.parametrize("size", [(96, 64), (64, 97), (50, 50), (500, 375), (333, 500)])
def test_cropped_resize_equals_resize_then_crop(interpolation, size):
    image = photo(*size)
    width, height = resize_short_size(*size, 40)
    # Pillow may do the two directions in another order for another shape, and rounds between them.
    resized = image.resize((width, height), INTERPOLATIONS[interpolation])
    expected = np.asarray(resized.crop(centre_crop_box(width, height, 33))).astype(int)
    actual = np.asarray(ResizeCentreCrop(33, 40, interpolation)(image, rng())).astype(int)
    assert np.abs(actual - expected).max() <= 2
    assert np.abs(actual - expected).mean() < 0.3


def test_eval_transform():
    array = eval_transform(32, 40)(photo(), rng())
    assert (array.shape, array.dtype) == ((32, 32, 3), np.uint8)
    assert array.flags.c_contiguous
    assert (array == eval_transform(32, 40)(photo(), rng(5))).all()
    whole = eval_transform(32, 40, crop=False)(photo(), rng())
    assert whole.shape == (32, 32, 3)
    # The left border of the photo has red near 0; only the uncropped version shows it.
    assert whole[:, 0, 0].mean() < 10 < array[:, 0, 0].mean()


def test_a_very_long_image_costs_nothing_special():
    array = eval_transform(224, 256)(Image.new("RGB", (60_000, 1), (1, 2, 3)), rng())
    assert array.shape == (224, 224, 3)
    assert (array == (1, 2, 3)).all()


@pytest.mark.parametrize("size", SIZES)
def test_train_transform_on_any_shape(size):
    transform = train_transform(48, rotation=10, color_jitter=(0.4, 0.4, 0.4, 0.1))
    for seed in range(5):
        array = transform(photo(*size), rng(seed))
        assert (array.shape, array.dtype) == ((48, 48, 3), np.uint8)
        assert array.flags.c_contiguous


def test_train_transform_is_a_function_of_the_generator():
    transform = train_transform(32)
    one, again, other = (transform(photo(), rng(seed)) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_order_of_the_train_transforms():
    order = ["RandomRotation", "RandomCropResize", "ColorJitter", "HorizontalFlip"]
    full = train_transform(32, rotation=10, color_jitter=(0.1, 0, 0, 0))
    assert [type(transform).__name__ for transform in full.transforms] == order
    assert [type(transform).__name__ for transform in train_transform(32).transforms] == [order[1], order[3]]
    assert [type(transform).__name__ for transform in train_transform(32, flip=0).transforms] == [order[1]]


def test_the_whole_image_when_the_crop_is_the_image():
    image = photo(32, 32)
    array = train_transform(32, scale=(1, 1), ratio=(1, 1), flip=0)(image, rng())
    assert (array == np.asarray(image)).all()


def test_flip_share_and_result():
    image = photo()
    flip = HorizontalFlip(0.5)
    flipped = [np.asarray(flip(image, rng(seed))) for seed in range(400)]
    mirrored = np.asarray(image)[:, ::-1]
    count = sum((array == mirrored).all() for array in flipped)
    assert 160 < count < 240
    assert sum((array == np.asarray(image)).all() for array in flipped) == 400 - count


def test_rotation_stays_in_range_keeps_the_size_and_fills_black():
    white = Image.new("RGB", (60, 60), (255, 255, 255))
    rotated = [np.asarray(RandomRotation(10)(white, rng(seed))) for seed in range(60)]
    corners = [array[0, 0].max() for array in rotated]
    assert {array.shape for array in rotated} == {(60, 60, 3)}
    assert min(corners) == 0
    assert max(corners) == 255  # an angle of 0 occurs
    black = [(array == 0).all(axis=-1).mean() for array in rotated]
    turned = np.asarray(white.rotate(10, Image.Resampling.BILINEAR))
    assert max(black) <= (turned == 0).all(axis=-1).mean()


def test_jitter_changes_what_it_says():
    image = photo()
    mean = np.asarray(image).mean()
    means = [np.asarray(ColorJitter(brightness=0.4)(image, rng(seed))).mean() / mean for seed in range(50)]
    assert 0.55 < min(means) < 0.8
    assert 1.1 < max(means) < 1.45
    grey = Image.new("RGB", (8, 8), (90, 90, 90))
    for seed in range(10):
        assert (np.asarray(ColorJitter(saturation=0.5, hue=0.5)(grey, rng(seed))) == 90).all()


def test_hue_turns_red_to_green():
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    turned = np.asarray(shift_hue(red, 1 / 3)).astype(int)
    assert np.abs(turned[0, 0] - (0, 255, 0)).max() <= 6
    assert (np.asarray(shift_hue(red, 0)) == np.asarray(red)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"scale": (0.5, 0.1)}, "scale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (0.5, 1.5)}, "scale"),
        ({"ratio": (0.0, 1.0)}, "ratio"),
        ({"flip": 1.5}, "flip is 1.5; it must be a probability"),
        ({"flip": -1}, "flip"),
        ({"rotation": 200}, "rotation"),
        ({"rotation": -5}, "rotation"),
        ({"color_jitter": (-1, 0, 0, 0)}, "brightness"),
        ({"color_jitter": (0, 0, 0, 0.6)}, "hue"),
        ({"interpolation": "cubik"}, "no interpolation 'cubik'. Did you mean 'cubic'"),
    ],
)
def test_values_outside_their_range(options, message):
    with pytest.raises(UserError, match=message):
        train_transform(**{"size": 32, **options})


def test_crop_larger_than_the_resized_image():
    with pytest.raises(UserError, match="resize_size is 224; it must be at least the size of the crop, 256"):
        eval_transform(256, 224)
