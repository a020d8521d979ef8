"""The run's history: one row an epoch, as ``metrics.csv`` and as curves in ``curves.png``."""

import csv
import time
from pathlib import Path

from imgcls.engine.callback import Callback
from imgcls.functional.monitoring import is_accuracy
from imgcls.machine.files import atomic_write
from imgcls.report.fonts import fonts_for
from imgcls.report.title import draw_title, plain, shortened

TOP1 = "val_top1"
DRAWN_EVERY = 10.0
"""Seconds between two drawings, at least: epochs may take less time than one of them."""


class History(Callback):
    """Rows hold epoch, step, lr, train_loss, the evaluation's metrics, and speed.

    The file is written anew each epoch from the rows, which are part of a checkpoint; a resumed run
    therefore forgets rows that were written after the checkpoint it starts from. The curves follow, every ten
    seconds at most, and when the run ends.

    Args:
        directory: where the two files go.
        title: of the curves: the run and its model.
    """

    def __init__(self, directory: Path, title: str = ""):
        super().__init__()
        self.directory = directory
        self.title = title
        self.rows: list[dict[str, float]] = []
        self._drawn = 0  # rows
        self._next = 0.0  # not to be drawn before

    def on_train_begin(self, logs=None):
        self._next = time.monotonic() + DRAWN_EVERY

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        totals = trainer.totals
        evaluated = {f"val_{name}": value for name, value in trainer.metrics.items()}
        self.rows.append(
            {
                "epoch": trainer.progress.epochs_begun,
                "step": trainer.progress.step,
                "lr": trainer.learning_rate,
                "train_loss": totals.mean_loss(),
                **evaluated,
                "images_per_second": round(totals.images_per_second(), 1),
                "data_wait": round(totals.waiting_share(), 3),
            }
        )
        write_csv(self.rows, self.directory / "metrics.csv")
        if time.monotonic() >= self._next:
            self._draw()

    def on_train_end(self, logs=None):
        self._draw()

    def _draw(self) -> None:
        """Unless it has been done."""
        if self._drawn != len(self.rows):
            draw_curves(self.rows, self.directory / "curves.png", self._title())
            self._drawn = len(self.rows)
            self._next = time.monotonic() + DRAWN_EVERY

    def _title(self) -> str:
        evaluated = [row for row in self.rows if TOP1 in row]
        if not evaluated:
            return self.title
        best = max(evaluated, key=lambda row: row[TOP1])
        return f"{self.title}, top1 {evaluated[-1][TOP1]:.4f}, best {best[TOP1]:.4f} in epoch {best['epoch']}"

    def values(self):
        return {"rows": self.rows}

    def load_values(self, values):
        self.rows = values["rows"]


def write_csv(rows: list[dict[str, float]], path: Path) -> None:
    """Write the rows whole or not at all; columns are the union of the rows', missing cells empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def draw_curves(rows: list[dict[str, float]], path: Path, title: str = "") -> None:
    """Loss, accuracy and learning rate over epochs, side by side, under a title."""
    with fonts_for([title, *(name for row in rows[-1:] for name in row)]):
        _draw(rows, path, title)


def _draw(rows: list[dict[str, float]], path: Path, title: str) -> None:
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in rows for name in row))
    groups = (
        ("loss", [name for name in names if "loss" in name and not is_accuracy(name)]),
        ("accuracy", [name for name in names if is_accuracy(name)]),
        ("learning rate", ["lr"]),
    )
    drawn = [(name, columns) for name, columns in groups if columns]  # a run that evaluates nothing has no accuracy
    width, height = 4 * len(drawn), 3.6
    figure = Figure(figsize=(width, height))
    lines = draw_title(figure, title)
    # Margins in inches: a layout that measures all texts first would take as long as the drawing itself.
    figure.subplots_adjust(0.6 / width, 0.5 / height, 1 - 0.15 / width, 1 - (0.45 + 0.2 * lines) / height, wspace=0.24)
    panels = figure.subplots(1, len(drawn))
    for axes, (name, columns) in zip(panels, drawn, strict=True):
        for column in columns:
            points = [(row["epoch"], row[column]) for row in rows if column in row]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=shortened(column))
        axes.set_title(name, y=1.0)  # found by itself it costs a layout of all ticks
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if len(columns) > 1:
            plain(axes.legend())
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
