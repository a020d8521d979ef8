"""Titles of drawings: whole, however long a name is and whatever is in it."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imgcls.callbacks.history import draw_curves
from imgcls.report.confusion_drawing import draw_confusion_matrix
from imgcls.report.title import draw_title

ROWS = [{"epoch": epoch, "lr": 0.1, "train_loss": 1.0, "val_top1": 0.5} for epoch in (1, 2)]


@pytest.mark.parametrize("text", ["pets: resnet50_vd, top1 0.9", "W" * 150, "a name " * 30, "$x^2$ " * 20, "_" * 99])
@pytest.mark.parametrize("width", [4, 12])
def test_no_letter_is_cut(text, width):
    figure = Figure(figsize=(width, 4), layout="constrained")
    draw_title(figure, text)
    figure.canvas.draw()
    (title,) = figure.texts
    assert title.get_text().replace("\n", "").replace(" ", "") == text.replace(" ", "")
    box = title.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def ink_at_the_top(path):
    return int((np.asarray(Image.open(path).convert("L"))[:25] < 128).sum())


def test_curves_and_matrices_have_one(tmp_path):
    for name, title in (("with", "pets: resnet18, top1 0.5"), ("without", "")):
        draw_curves(ROWS, tmp_path / f"{name}.png", title)
        draw_confusion_matrix(np.eye(2, dtype=int), ["a", "b"], tmp_path / f"{name}-matrix.png", title)
    for kind in ("", "-matrix"):
        assert ink_at_the_top(tmp_path / f"with{kind}.png") > ink_at_the_top(tmp_path / f"without{kind}.png")
