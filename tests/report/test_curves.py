"""Curves out of a run's history."""

from imgcls.callbacks.history import write_csv
from imgcls.report.curves import read_curves

ROWS = [
    {"epoch": 1, "step": 6, "lr": 0.1, "train_loss": 2.5, "images_per_second": 9.0},
    {"epoch": 2, "step": 12, "lr": 0.05, "train_loss": float("nan"), "val_loss": 1.5, "val_top1": 0.25},
    {"epoch": 3, "step": 18, "lr": 0.01, "train_loss": 1.25, "val_loss": float("inf"), "val_top1": 0.5},
]


def checkpoint_of(run):
    checkpoint = run / "checkpoints" / "epoch-0003"
    checkpoint.mkdir(parents=True)
    return checkpoint


def test_a_run_as_it_wrote_itself_down(tmp_path):
    checkpoint = checkpoint_of(tmp_path)
    write_csv(ROWS, tmp_path / "metrics.csv")
    panels = {panel.title: panel.curves for panel in read_curves(checkpoint)}
    assert panels == {
        "loss": {"train_loss": [(1, 2.5), (3, 1.25)], "val_loss": [(2, 1.5)]},
        "accuracy": {"val_top1": [(2, 0.25), (3, 0.5)]},
        "learning rate": {"lr": [(1, 0.1), (2, 0.05), (3, 0.01)]},
    }


def test_a_damaged_history_costs_only_what_is_damaged(tmp_path):
    checkpoint = checkpoint_of(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(b"epoch,lr,val_loss\n1,0.1,0.5\n2,\xff\xfe,0.4\n3\n,,7\n4,0.1,0.3,9,9\n")
    panels = {panel.title: panel.curves for panel in read_curves(checkpoint)}
    assert panels == {
        "loss": {"val_loss": [(1, 0.5), (2, 0.4), (4, 0.3)]},
        "learning rate": {"lr": [(1, 0.1), (4, 0.1)]},
    }


def test_without_a_run_there_are_none(tmp_path):
    assert read_curves(None) == []
    moved = tmp_path / "elsewhere" / "epoch-0003"
    moved.mkdir(parents=True)
    write_csv(ROWS, tmp_path / "metrics.csv")
    assert read_curves(moved) == []
    assert read_curves(checkpoint_of(tmp_path / "run")) == []
    (tmp_path / "run" / "metrics.csv").write_text("")
    assert read_curves(tmp_path / "run" / "checkpoints" / "epoch-0003") == []
