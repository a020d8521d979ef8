"""The files of an evaluation, read back as another program would."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from imgcls.data.formats.samples import Samples
from imgcls.functional.metrics import ConfusionMatrix
from imgcls.report.answers import Answers
from imgcls.report.confusion_drawing import draw_confusion_matrix
from imgcls.report.tables import summarise, write_tables

NAMES = ('comma, "quote"', "two\nlines", "$\\frac$")


@pytest.fixture
def evaluated(tmp_path):
    """Three pictures, one with a name that is no UTF-8; the last is taken for the first class."""
    paths = [[b"a/1.jpg"], [b"b/\xff\xe9.jpg"], ["c/\N{CAT FACE},2.jpg".encode()]]
    samples = Samples.of_classes("/photos", paths, NAMES)
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.5, 0.1, 0.4]], np.float32)
    answers = Answers(np.arange(3), np.arange(3), probabilities)
    confusion = ConfusionMatrix(3)
    confusion.update(answers.labels, answers.predictions)
    summary = summarise({"model": "resnet18"}, {"loss": float("nan"), "top1": 2 / 3}, confusion, answers)
    write_tables(tmp_path / "new", summary, confusion, answers, samples)
    return tmp_path / "new", confusion


def refuse(constant: str):
    raise AssertionError(f"{constant} is no JSON")


def test_summary_is_strict_json(evaluated):
    summary = json.loads((evaluated[0] / "summary.json").read_text(), parse_constant=refuse)
    assert summary.pop("expected_calibration_error") == pytest.approx((0.3 + 0.1 + 0.5) / 3)
    assert summary == {
        "model": "resnet18",
        "pictures": 3,
        "loss": None,
        "top1": pytest.approx(2 / 3),
        "mean_class_accuracy": pytest.approx(2 / 3),
        "balanced_accuracy": pytest.approx(2 / 3),
        "macro_f1": pytest.approx((2 / 3 + 1 + 0) / 3),
    }


def test_tables_keep_every_name(evaluated):
    with (evaluated[0] / "per_image.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [os.fsencode(row["path"]) for row in rows] == [
        b"/photos/a/1.jpg",
        b"/photos/b/\xff\xe9.jpg",
        "/photos/c/\N{CAT FACE},2.jpg".encode(),
    ]
    assert [row["predicted_name"] for row in rows] == [NAMES[0], NAMES[1], NAMES[0]]
    assert [row["score"] for row in rows] == ["0.700000", "0.900000", "0.500000"]
    assert [row["score_of_label"] for row in rows] == ["0.700000", "0.900000", "0.400000"]
    assert [row["right"] for row in rows] == ["1", "1", "0"]
    with (evaluated[0] / "per_class.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(NAMES)
    assert [row["accuracy"] for row in rows] == ["1.0", "1.0", "0.0"]
    assert [float(row["f1"]) for row in rows] == pytest.approx([2 / 3, 1, 0])
    with (evaluated[0] / "confusion_matrix.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[3] == [NAMES[2], "1", "0", "0"]


def test_a_dollar_in_a_name_begins_no_formula(evaluated, tmp_path):
    draw_confusion_matrix(evaluated[1].counts, NAMES, tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as picture:
        assert min(picture.size) > 300
