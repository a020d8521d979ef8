"""Titles of drawings: whole, however long a name is and whatever is in it."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imgcls.callbacks.history import draw_curves
from imgcls.report.confusion_drawing import draw_confusion_matrix
from imgcls.report.title import draw_title, shortened

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


def test_half_a_character_is_drawn_as_its_byte():
    """A run's name from a disk that is not UTF-8, which FreeType would refuse."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    draw_title(figure, "a\udcfe: resnet18")
    assert figure.texts[0].get_text() == r"a\xfe: resnet18"
    assert shortened("\udcfe") == r"\xfe"


def test_curves_and_matrices_have_one(tmp_path):
    """Another title is other ink above the drawing, and nowhere else."""
    drawn = []
    for title in ("pets: resnet18, top1 0.5", "pets: resnet81, top1 0.6"):
        draw_curves(ROWS, tmp_path / "curves.png", title)
        draw_confusion_matrix(np.eye(2, dtype=int), ["a", "b"], tmp_path / "matrix.png", title)
        drawn.append([np.asarray(Image.open(tmp_path / name)) for name in ("curves.png", "matrix.png")])
    for one, other in zip(*drawn, strict=True):
        rows = np.flatnonzero((one != other).any(axis=(1, 2)))
        assert len(rows) > 0
        assert rows.max() < 30


def test_names_beside_a_drawing_are_no_formulas_and_leave_room(tmp_path, recwarn):
    columns = ["val_f1_$x$ and $y", "val_f1_" + "长" * 200, "val_f1_^_{", "val_top1"]
    draw_curves([{"epoch": 1, "lr": 0.1, "train_loss": 1.0, **dict.fromkeys(columns, 0.5)}], tmp_path / "curves.png")
    names = ["$a$", "x" * 200, "_", "a$b"]
    draw_confusion_matrix(np.eye(4, dtype=int), names, tmp_path / "matrix.png", "a title")
    assert not [one for one in recwarn if "constrained_layout" in str(one.message)]
    assert shortened("x" * 200) == "x" * 39 + "…"
    assert shortened("x" * 40) == "x" * 40
