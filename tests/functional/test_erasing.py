"""Random erasing: rectangles within their bounds, and only they are covered."""

import numpy as np
import paddle
import pytest

from imgcls.functional.erasing import erase, random_rectangles

AREA, RATIO = (0.02, 0.4), (0.3, 3.33)
SHAPES = [(224, 224), (96, 160), (160, 96)]


def draw(count: int, height: int, width: int, area=AREA, ratio=RATIO, probability: float = 1.0, seed: int = 0):
    return random_rectangles(count, height, width, area, ratio, probability, np.random.default_rng(seed))


def sides(rectangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rectangles[:, 2] - rectangles[:, 0], rectangles[:, 3] - rectangles[:, 1]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_rectangles_keep_to_their_bounds(height, width):
    rectangles = draw(5000, height, width)
    rows, columns = sides(rectangles)
    assert rectangles.dtype == np.int64
    assert (rectangles >= 0).all()
    assert (rectangles[:, 2] <= height).all()
    assert (rectangles[:, 3] <= width).all()
    # A side is rounded by half a pixel, which changes area and shape by that share of it.
    slack = 0.5 / rows + 0.5 / columns + 0.01
    share, shape = rows * columns / (height * width), rows / columns
    assert (share >= AREA[0] * (1 - slack)).all()
    assert (share <= AREA[1] * (1 + slack)).all()
    assert (shape >= RATIO[0] * (1 - slack)).all()
    assert (shape <= RATIO[1] * (1 + slack)).all()
    assert share.min() < 0.03
    assert share.max() > 0.35


def test_rectangles_reach_every_border_and_lie_as_often_as_they_stand():
    rectangles = draw(5000, 100, 100)
    assert rectangles[:, :2].min(axis=0).tolist() == [0, 0]
    assert rectangles[:, 2:].max(axis=0).tolist() == [100, 100]
    rows, columns = sides(draw(5000, 100, 100, ratio=(1 / 3, 3)))
    assert np.mean(rows > columns) == pytest.approx(0.5, abs=0.03)
    centres = (rectangles[:, :2] + rectangles[:, 2:]) / 2
    assert centres.mean(axis=0) == pytest.approx([50, 50], abs=1.5)


def test_share_of_the_images_that_get_one():
    rectangles = draw(4000, 50, 50, probability=0.25)
    assert np.mean(rectangles.any(axis=1)) == pytest.approx(0.25, abs=0.03)
    assert not draw(100, 50, 50, probability=0.0).any()
    assert draw(100, 50, 50, probability=1.0).any(axis=1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_images_of_a_few_pixels(size):
    rows, columns = sides(draw(200, *size, area=(0.02, 1.0)))
    assert ((rows >= 1) & (rows <= size[0])).all()
    assert ((columns >= 1) & (columns <= size[1])).all()


def test_the_generator_decides_everything():
    assert (draw(50, 60, 60) == draw(50, 60, 60)).all()
    assert (draw(50, 60, 60) != draw(50, 60, 60, seed=1)).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_the_rectangle_is_covered(dtype):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 3, 20, 30)).astype(dtype)
    fill = rng.normal(size=(1, 3, 20, 30)).astype(dtype)
    rectangles = draw(6, 20, 30, probability=0.7)
    assert 0 < rectangles.any(axis=1).sum() < 6
    before = paddle.to_tensor(images)
    after = erase(before, rectangles, paddle.to_tensor(fill))
    expected = images.copy()
    for image, (top, left, bottom, right) in zip(expected, rectangles, strict=True):
        image[:, top:bottom, left:right] = fill[0, :, top:bottom, left:right]
    assert after.dtype == before.dtype
    assert (after.numpy() == expected).all()
    assert (before.numpy() == images).all()
