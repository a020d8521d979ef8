"""Fonts for names in any script: found where they are, numbers and one warning where they are not."""

import logging
import warnings

import numpy as np
import pytest
from PIL import Image

from imgcls.report import fonts
from imgcls.report.confusion_drawing import draw_confusion_matrix
from imgcls.report.fonts import drawable, families_for, font_file, labels_of

IN_STIX = "\u1d81"
"""A letter that the first font lacks, and another has that comes with matplotlib."""


@pytest.fixture
def warned(caplog):
    return lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.fixture
def no_others(monkeypatch):
    """A machine without any font but the first."""
    monkeypatch.setattr(fonts, "_others", tuple)
    fonts._families.cache_clear()
    yield
    fonts._families.cache_clear()


def test_the_first_font_is_enough_for_what_it_has():
    assert families_for(["tench", "кот", "café", "cafe\u0301", "a b"]) == ["DejaVu Sans"]


def test_another_font_is_found_for_what_it_lacks():
    first, second = families_for(["tench", f"x{IN_STIX}"])
    assert first == "DejaVu Sans"
    assert drawable(IN_STIX)
    assert font_file(IN_STIX) != font_file("tench")
    assert second not in ("Last Resort", "Last Resort High-Efficiency")


def test_placeholders_do_not_count():
    """A font that has a box for every character draws none."""
    assert not drawable("\U000f0000")
    assert font_file("\U000f0000") is None


def test_names_that_cannot_be_drawn_are_numbers_with_one_warning(tmp_path, no_others, warned):
    names = ["tench", *(chr(0x4E00 + number) for number in range(12)), "кот"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion_matrix(np.eye(14, dtype=int), names, tmp_path / "drawn.png")
    (message,) = warned()
    assert message.startswith("No font on this machine can draw 12 of the class names; drawn.png shows their numbers")
    assert "\n  1: 一\n" in message
    assert message.endswith("  ... and 2 more")
    labels = labels_of(dict(enumerate(names)), "x")
    assert (labels[0], labels[1], labels[13]) == ("tench", "1", "кот")


def test_drawn_names_differ(tmp_path, warned):
    """What is drawn are letters and not the same box for all."""
    cjk = next((names for names in (("猫", "犬"),) if all(map(drawable, names))), None)
    names = cjk or (IN_STIX, "\u1d84")
    pictures = []
    for name in names:
        draw_confusion_matrix(np.eye(2, dtype=int), [name, "x"], tmp_path / "drawn.png")
        pictures.append(np.asarray(Image.open(tmp_path / "drawn.png").convert("RGB").resize((400, 400))))
    assert not np.array_equal(*pictures)
    assert not warned()
