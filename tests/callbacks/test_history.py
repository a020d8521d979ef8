"""The curves of a run: drawn at its end, and meanwhile no oftener than their time allows."""

import csv

import pytest
from test_event_files import train

from imgcls.callbacks import history
from imgcls.callbacks.history import History


@pytest.mark.parametrize(("seconds", "drawn"), [(0.0, [1, 2, 3]), (3600.0, [3])])
def test_curves_are_drawn_at_the_end_and_not_too_often(seconds, drawn, tmp_path, monkeypatch):
    """The table is written after each epoch, however fast those are."""
    seen = []
    monkeypatch.setattr(history, "DRAWN_EVERY", seconds)
    monkeypatch.setattr(history, "draw_curves", lambda rows, path, title: seen.append(len(rows)))
    train(History(tmp_path), epochs=3)
    assert seen == drawn
    with (tmp_path / "metrics.csv").open(encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
