"""The contact sheet: every picture pixel by pixel in its place, captions below."""

import numpy as np
import pytest

from imgcls.report.contact_sheet import GAP, LINE_HEIGHT, contact_sheet


def pictures(count: int, height: int = 200, width: int = 180) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8))


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (5, 3, 2), (16, 4, 4)])
def test_pictures_in_their_places(count, columns, rows):
    images = pictures(count)
    sheet = np.asarray(contact_sheet(images, [["one"]] * count))
    down = 200 + LINE_HEIGHT + GAP
    assert sheet.shape == (GAP + rows * down, GAP + columns * (180 + GAP), 3)
    for number, image in enumerate(images):
        top, left = GAP + number // columns * down, GAP + number % columns * (180 + GAP)
        assert (sheet[top : top + 200, left : left + 180] == image).all()


def test_small_pictures_are_enlarged_by_a_whole_factor():
    image = pictures(1, 32, 32)[0]
    sheet = np.asarray(contact_sheet([image], [["one"]]))
    assert (sheet[GAP : GAP + 160, GAP : GAP + 160] == image.repeat(5, axis=0).repeat(5, axis=1)).all()


def test_captions_stay_below_their_picture():
    """Long ones are cut; letters beyond Latin are drawn, each its own way."""
    names = ["fish", "fish " * 40, "рыба", "ψάρι"]
    sheet = np.asarray(contact_sheet(pictures(4), [[name, "0.37 of another"] for name in names])).astype(int)
    down, across = 200 + 2 * LINE_HEIGHT + GAP, 180 + GAP
    paper = sheet[0, 0]
    drawn = []
    for number in range(4):
        top, left = GAP + number // 2 * down, GAP + number % 2 * across
        line = sheet[top + 200 : top + 200 + LINE_HEIGHT, left : left + 180]
        assert (line != paper).any()
        assert (sheet[top + 200 : top + down, left + 180 : left + across] == paper).all()
        drawn.append(line.tobytes())
    assert len(set(drawn)) == 4
