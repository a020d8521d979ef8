"""Training runs side by side: what each of them reached, how long it took, and what was different."""

import contextlib
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.functional.monitoring import direction
from imgcls.machine.limits import CONFIG_NODES, TABLE_BYTES
from imgcls.machine.reading import read_bytes, read_json, read_yaml
from imgcls.report.curves import read_history
from imgcls.run.directory import STATUS
from imgcls.run.settings import flat

TIME = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
SHOWN = {"model.name": "model", "optimizer.lr": "lr", "trainer.batch_size": "batch"}
"""Settings that every table has."""


@dataclass(frozen=True)
class ComparedRun:
    """What is known of a run from its directory.

    Args:
        label: its name, told from the others'.
        settings: of its configuration, by dotted key.
        curves: see ``read_history``.
        status: ``finished``, ``running``, ...
        seconds: that its processes took, evaluation included.
    """

    label: str
    settings: dict[str, Any]
    curves: dict[str, list[tuple[float, float]]]
    status: str
    seconds: float | None

    @property
    def monitor(self) -> str:
        """The metric that decided which checkpoint is best."""
        return self.settings.get("trainer.monitor", "top1")

    @property
    def direction(self) -> str:
        """``min`` or ``max``: how it did."""
        return direction(self.monitor, self.settings.get("trainer.monitor_mode", "auto"))

    def best(self) -> dict[str, float]:
        """The evaluation of the best epoch, and its number; empty if there was none."""
        points = self.curves.get(f"val_{self.monitor}")
        if not points:
            return {}
        choose = min if self.direction == "min" else max
        epoch, _ = choose(points, key=lambda point: point[1])
        found = {name.removeprefix("val_"): dict(curve).get(epoch) for name, curve in self.curves.items()}
        metrics = {name: value for name, value in found.items() if f"val_{name}" in self.curves and value is not None}
        return {self.monitor: metrics.pop(self.monitor), **metrics, "epoch": int(epoch)}


def read_runs(paths: Iterable[str], report: Callable[[str], None]) -> list[ComparedRun]:
    """The runs in some directories, in their order; a sweep's directory stands for its jobs.

    Args:
        report: called with a message for each directory that holds no run.

    Raises:
        UserError: there is no such directory, or no run in any of them.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(f"{printable(path)}: there is no such run. Name directories such as outputs/pets.")
        runs = [path] if _is_run(path) else sorted(filter(_is_run, path.iterdir()), key=_natural)
        if not runs:
            report(f"{printable(path)} is no training run: left out")
        found |= {run.resolve(): run for run in runs}
    if not found:
        raise UserError("There is nothing to compare. Name directories of training runs, outputs/a outputs/b.")
    names = [run.name for run in found]
    labels = [real.name if names.count(real.name) == 1 else str(run) for real, run in found.items()]
    return [_read(run, printable(label)) for run, label in zip(found, labels, strict=True)]


def table(runs: Sequence[ComparedRun]) -> tuple[list[str], list[list[Any]]]:
    """A header, and a row of plain values for each run; ``None`` where a run has none. The time is in seconds."""
    bests = [run.best() for run in runs]
    metrics = list(dict.fromkeys(name for best in bests for name in best if name != "epoch"))
    header = ["run", "status", *SHOWN.values(), *metrics, "best epoch", "epochs", "images/s", "time"]
    rows = []
    for run, best in zip(runs, bests, strict=True):
        epochs, speeds = run.curves.get("epoch", []), run.curves.get("images_per_second", [])
        rows.append(
            [
                run.label,
                run.status,
                *(run.settings.get(key) for key in SHOWN),
                *(best.get(name) for name in metrics),
                best.get("epoch"),
                int(epochs[-1][1]) if epochs else 0,
                round(sum(speed for _, speed in speeds) / len(speeds), 1) if speeds else None,
                run.seconds,
            ]
        )
    return header, rows


def differences(runs: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """Settings that the runs do not share, beside those of the table and where a run is: a value for each run."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    values = {key: [run.settings.get(key) for run in runs] for key in keys if not key.startswith("run.")}
    return {
        key: each for key, each in values.items() if key not in SHOWN and any(value != each[0] for value in each[1:])
    }


def best_run(runs: Sequence[ComparedRun]) -> ComparedRun | None:
    """The run with the best value of the metric that all of them monitored; ``None`` if they monitored others."""
    evaluated = [run for run in runs if run.best()]
    if not evaluated or len({(run.monitor, run.direction) for run in runs}) > 1:
        return None
    choose = min if evaluated[0].direction == "min" else max
    return choose(evaluated, key=lambda run: run.best()[run.monitor])


def _is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file() and (path / STATUS).is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Orders job-10 behind job-9."""
    return [(int(part or 0), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _read(run: Path, label: str) -> ComparedRun:
    try:
        settings = flat(read_yaml(run / "config.yaml", CONFIG_NODES))
        status = read_json(run / STATUS)["status"]
        if not all(isinstance(settings.get(key, ""), str) for key in ("trainer.monitor", "trainer.monitor_mode")):
            raise TypeError("trainer.monitor is no name")
    except (UserError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{printable(run)}: config.yaml or {STATUS} is damaged. Leave the run out.") from error
    history = run / "metrics.csv"
    curves = read_history(history) if history.is_file() else {}
    return ComparedRun(label, settings, curves, str(status), _seconds(run / "train.log"))


def _seconds(log: Path) -> float | None:
    """From the first to the last line of each process that wrote the log."""
    if not log.is_file():
        return None
    total, times = 0.0, []
    for line in io.BytesIO(read_bytes(log, TABLE_BYTES)):
        if b"; config " in line.partition(b"; commit ")[2]:  # the first line of a process
            total, times = total + _span(times), []
        with contextlib.suppress(ValueError):  # of what is no date
            if found := TIME.match(line):
                times = [*times[:1], datetime.fromisoformat(found[1].decode())]
    return total + _span(times)


def _span(times: Sequence[datetime]) -> float:
    return (times[-1] - times[0]).total_seconds() if times else 0.0
