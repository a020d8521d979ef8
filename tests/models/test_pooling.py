"""Max pooling against Paddle's own."""

import numpy as np
import paddle
import pytest
from paddle import nn

from imgcls.models.pooling import MaxPool2D

FITS = [((3, 2, 1), {}), ((2, 2, 0), {}), ((3, 1, 1), {}), ((2, None, 0), {}), ((3, 2, 0), {"ceil_mode": True})]
OTHERS = [
    ((2, 2, 0), {"ceil_mode": True}),  # of 13 rows: the last window is partly outside
    ((2, 1, "SAME"), {}),
    ((3, 2, 1), {"data_format": "NHWC"}),
]


def gradients(pool: nn.Layer, images: np.ndarray) -> list[np.ndarray]:
    """What it gives, and the gradient of the images."""
    images = paddle.to_tensor(images, stop_gradient=False)
    out = pool(images)
    weights = paddle.to_tensor(np.random.default_rng(1).standard_normal(out.shape, np.float32))
    return [out.numpy(), paddle.grad([out], [images], [weights])[0].numpy()]


@pytest.mark.parametrize(
    ("arguments", "options", "by_places"), [*((*one, True) for one in FITS), *((*one, False) for one in OTHERS)]
)
def test_the_same_bits(arguments, options, by_places):
    """Among them windows in which several numbers are the largest, as ReLU leaves them."""
    images = np.maximum(np.random.default_rng(0).standard_normal((2, 4, 13, 13), np.float32), 0)
    pool = MaxPool2D(*arguments, **options)
    assert pool._goes_by_places(paddle.to_tensor(images, stop_gradient=False)) is by_places
    for found, expected in zip(
        gradients(pool, images), gradients(nn.MaxPool2D(*arguments, **options), images), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_only_what_is_trained_goes_by_places():
    """Evaluation and exports have the one operator that engines know."""
    pool, images = MaxPool2D(3, 2, 1), paddle.ones([1, 1, 8, 8])
    assert not pool._goes_by_places(images)
    images.stop_gradient = False
    assert pool._goes_by_places(images)
    pool.eval()
    assert not pool._goes_by_places(images)
