"""How a network sees an image: the same object whatever it was made from, and the same pixels."""

import numpy as np
import paddle
from PIL import Image

import imgcls
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.transforms import eval_transform

RNG = np.random.default_rng(0)


def test_of_a_model_it_is_what_the_catalogue_says():
    seen = Preprocessing.of_model(imgcls.model_info("xception41"))
    assert (seen.size, seen.resize_size, seen.interpolation) == (299, 320, "linear")
    assert seen.mean == (0.485, 0.456, 0.406)
    assert seen.std == (0.229, 0.224, 0.225)


def test_another_size_keeps_the_proportion():
    seen = Preprocessing.of_model(imgcls.model_info("resnet50"), 112)
    assert (seen.size, seen.resize_size) == (112, 128)


def test_the_transform_is_that_of_evaluation():
    image = Image.fromarray(RNG.integers(0, 256, (60, 90, 3), np.uint8))
    seen = Preprocessing.of_model(imgcls.model_info("resnet50"), 32)
    expected = eval_transform(32, 37)(image, RNG)
    assert np.array_equal(seen.transform()(image, RNG), expected)


def test_normalised_alike_by_paddle_and_numpy_and_back():
    images = RNG.integers(0, 256, (2, 5, 7, 3), np.uint8)
    seen = Preprocessing.of_model(imgcls.model_info("resnet50"))
    by_paddle = seen.normalize(paddle.to_tensor(images)).numpy()
    expected = ((images / 255 - np.array(seen.mean)) / np.array(seen.std)).transpose(0, 3, 1, 2)
    assert np.allclose(by_paddle, expected, atol=1e-6)
    assert np.array_equal(by_paddle, seen.normalize_array(images))
    assert np.array_equal(seen.denormalize(by_paddle[0]), images[0])
