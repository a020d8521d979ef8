"""Normalisation: the formula, on the device and in numpy, in every precision."""

import numpy as np
import paddle
import pytest

from imgcls.functional.normalize import normalize, normalize_array

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def images():
    """All 256 values in each channel, in a batch that is not square."""
    values = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    return np.stack([values, values[:, ::-1], 255 - values], axis=-1)


@pytest.fixture
def expected(images):
    exact = (images.astype(np.float64) / 255 - MEAN) / STD
    return exact.transpose(0, 3, 1, 2)


def test_float32(images, expected):
    result = normalize(paddle.to_tensor(images), MEAN, STD)
    assert result.shape == [2, 3, 8, 16]
    assert result.dtype == paddle.float32
    assert np.abs(result.numpy() - expected).max() < 1e-6


@pytest.mark.parametrize(("dtype", "relative"), [("float16", 2**-10), ("bfloat16", 2**-7)])
def test_half_precision_is_the_float32_result_within_one_step(images, expected, dtype, relative):
    result = normalize(paddle.to_tensor(images), MEAN, STD, dtype)
    assert result.dtype == getattr(paddle, dtype)
    error = np.abs(result.astype("float32").numpy() - expected)
    assert (error <= np.abs(expected) * relative + 1e-6).all()


def test_numpy_twin(images):
    array = normalize_array(images, MEAN, STD)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    np.testing.assert_allclose(array, normalize(paddle.to_tensor(images), MEAN, STD).numpy(), rtol=0, atol=1e-6)


def test_images_with_a_gradient_have_the_same_bits(images):
    """They go through Paddle's operators, as on a GPU; others through numpy, where there is no other device."""
    tensor = paddle.to_tensor(images.astype(np.float32), stop_gradient=False)
    result = normalize(tensor, MEAN, STD)
    np.testing.assert_array_equal(result.numpy(), normalize(paddle.to_tensor(images), MEAN, STD).numpy())
    gradient = paddle.grad([result.sum()], [tensor])[0].numpy()
    np.testing.assert_allclose(gradient, np.broadcast_to(1 / (255 * np.array(STD)), images.shape), rtol=1e-6)


def test_one_channel():
    grey = np.full((1, 4, 4, 1), 255, np.uint8)
    assert normalize(paddle.to_tensor(grey), [0.5], [0.25]).numpy() == pytest.approx(np.full((1, 1, 4, 4), 2.0))


def test_it_can_be_part_of_a_graph(images, tmp_path):
    class Input(paddle.nn.Layer):
        def forward(self, x):
            return normalize(x, MEAN, STD)

    spec = [paddle.static.InputSpec([None, None, None, 3], "uint8", "images")]
    paddle.jit.save(Input(), str(tmp_path / "input"), input_spec=spec)
    result = paddle.jit.load(str(tmp_path / "input"))(paddle.to_tensor(images))
    np.testing.assert_allclose(result.numpy(), normalize_array(images, MEAN, STD), rtol=0, atol=1e-6)
