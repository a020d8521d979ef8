"""The curves of a training run, out of its ``metrics.csv``."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcls.data.formats.csv_rows import csv_rows
from imgcls.errors import UserError
from imgcls.functional.monitoring import is_accuracy
from imgcls.machine.limits import TABLE_BYTES
from imgcls.machine.reading import read_bytes

log = logging.getLogger("imgcls")

PANELS = {
    "loss": lambda column: "loss" in column and not is_accuracy(column),
    "accuracy": is_accuracy,
    "learning rate": lambda column: column == "lr",
}
"""Titles, and which columns belong to each."""


@dataclass(frozen=True)
class Panel:
    """Curves over epochs that share an axis: points ``(epoch, value)`` of each column, as far as they are numbers."""

    title: str
    curves: dict[str, list[tuple[float, float]]]


def read_curves(checkpoint: Path | None) -> list[Panel]:
    """Panels of loss, accuracy and learning rate of the run that wrote a checkpoint.

    Returns:
        Panels that have a point; none when there is no checkpoint, or its run does not lie around it.
    """
    if checkpoint is None or checkpoint.parent.name != "checkpoints":
        return []
    history = checkpoint.parent.parent / "metrics.csv"
    try:
        return _panels(history) if history.is_file() else []
    except UserError as error:  # no reason to lose an evaluation
        log.warning("Without curves: %s", error)
        return []


def read_history(history: Path) -> dict[str, list[tuple[float, float]]]:
    """Each column of a ``metrics.csv`` as points ``(epoch, value)``, where both are numbers; without empty ones.

    Raises:
        UserError: it cannot be read.
    """
    try:
        lines = csv_rows(read_bytes(history, TABLE_BYTES), str(history), ",", errors="replace")
        _, header = next(lines, (0, []))
        rows = [dict(zip(header, line, strict=False)) for _, line in lines]
    except OSError as error:
        raise UserError(f"{history} is damaged: {error}.") from error
    curves = {name: _points(rows, name) for name in header if name}
    return {name: points for name, points in curves.items() if points}


def _panels(history: Path) -> list[Panel]:
    curves = read_history(history)
    panels = [Panel(title, {name: curves[name] for name in curves if has(name)}) for title, has in PANELS.items()]
    return [panel for panel in panels if panel.curves]


def _points(rows: Sequence[dict[str, str]], column: str) -> list[tuple[float, float]]:
    pairs = ((_number(row.get("epoch")), _number(row.get(column))) for row in rows)
    return [(epoch, value) for epoch, value in pairs if epoch is not None and value is not None]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
