"""Whole images in their own proportions, packed into arrays of one shape."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from imgcls.data.pictures.channels import ChannelImage
from imgcls.data.pictures.decode import open_image
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.whole import MOST, STEP, shape_of_whole, unpack
from imgcls.errors import UserError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def seen(count: int = 3, **values) -> Preprocessing:
    usual = {"size": 64, "resize_size": 96, "interpolation": "linear", "depth": 8 if count == 3 else 16}
    return Preprocessing(**{**usual, **values}, mean=(0.5,) * count, std=(0.2,) * count)


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (500, 500, (256, 256)),
        (600, 400, (256, 384)),
        (400, 600, (384, 256)),
        (100, 100, (256, 256)),
        (4000, 1000, (224, 896)),  # as many pixels as there is room for
        (1, 100_000, (1568, 128)),  # squeezed
    ],
)
def test_shapes(width, height, shape):
    assert shape_of_whole(width, height, 224, 256) == shape


def test_no_shape_is_too_large(rng):
    for width, height in rng.integers(1, 3000, (300, 2)).tolist():
        for size in (64, (64, 160), 224):
            high, wide = shape_of_whole(width, height, size, 256)
            room = MOST * math.prod(size if isinstance(size, tuple) else (size, size))
            assert high % STEP == wide % STEP == 0
            assert min(high, wide) >= STEP
            assert high * wide <= room


@pytest.mark.parametrize("resampling", ["pillow", "opencv"])
@pytest.mark.parametrize("size", [(90, 60), (61, 120), (200, 33)])
def test_all_of_an_image_is_there(size, resampling, rng):
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    high, wide = shape_of_whole(*size, 64, 96)
    if resampling == "opencv":
        cv2 = pytest.importorskip("cv2")
        expected = cv2.resize(np.asarray(image), (wide, high), interpolation=cv2.INTER_LINEAR)
    else:
        expected = np.asarray(image.resize((wide, high), Image.Resampling.BILINEAR))
    transform = seen(resampling=resampling).transform(whole=True)
    packed = transform(image, rng)
    assert packed.shape == transform.image_shape
    assert np.array_equal(unpack(packed), expected)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    with open_image(buffer.getvalue()) as photo:
        assert np.array_equal(transform.of_file(photo, rng), packed)


def test_of_any_channels(rng):
    image = ChannelImage.of_array(rng.integers(0, 65536, (50, 80, 5)).astype(np.uint16))
    packed = seen(5).transform(whole=True)(image, rng)
    assert unpack(packed).dtype == np.float32
    assert np.array_equal(unpack(packed), np.asarray(image.resize((160, 96), Image.Resampling.BILINEAR)))


def test_a_large_photo_is_shrunk_by_its_decoder(rng):
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((2000, 1600)).convert("RGB").save(buffer, "JPEG")
    with open_image(buffer.getvalue()) as photo:
        found = unpack(seen().transform(whole=True).of_file(photo, rng))
        assert photo.decode().size == (250, 200)
    assert found.shape == (96, 128, 3)


def test_other_fits_show_the_whole_already():
    with pytest.raises(UserError, match="letterbox shows the whole picture"):
        seen(fit="letterbox").transform(whole=True)
