"""Multirun sweeps: what each job reached, as a table and ``leaderboard.csv``."""

import csv
import math
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from imgcls.app.overrides import as_typed
from imgcls.app.program import failures
from imgcls.functional.monitoring import best_row, direction
from imgcls.machine.limits import CONFIG_NODES
from imgcls.machine.reading import read_json, read_yaml
from imgcls.machine.spreadsheet import harmless
from imgcls.machine.text import printable_text


class Leaderboard(Callback):
    """A Hydra callback: names each job as it starts and ranks them all when the sweep is over."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.monitors: set[tuple[str, str]] = set()

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if "num" in config.hydra.job:
            shown = " ".join("=".join(as_typed(override)) for override in config.hydra.overrides.task)
            print(f"\njob {config.hydra.job.num}: {shown}")

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        number = config.hydra.job.get("num", 0)
        failed = number in failures
        # Of a job that failed, what is there was left by an older run.
        summary = Path(config.hydra.runtime.output_dir) / "summary.json"
        if not failed and (recorded := summary.with_name("config.yaml")).exists():
            settings = OmegaConf.create(
                read_yaml(recorded, CONFIG_NODES)
            ).trainer  # a job that goes on has those of its run
            self.monitors.add((settings.monitor, direction(settings.monitor, settings.monitor_mode)))
        reached = read_json(summary)["best"] if summary.exists() and not failed else {}
        overrides = dict(map(as_typed, config.hydra.overrides.task))
        self.rows.append({"job": number, "status": "failed" if failed else "done", **overrides, **reached})

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from rich.console import Console
        from rich.table import Table

        monitor, better = config.trainer.monitor, direction(config.trainer.monitor, config.trainer.monitor_mode)
        if len(self.monitors) == 1:
            ((monitor, better),) = self.monitors
        self.rows.sort(key=lambda row: _place(row.get(monitor), better))
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        path = Path(config.hydra.sweep.dir) / "leaderboard.csv"
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({name: harmless(value) for name, value in row.items()} for row in self.rows)
        differing = [name for name in columns if len({str(row.get(name)) for row in self.rows}) > 1 or name == "job"]
        table = Table(*differing)
        for row in self.rows:
            table.add_row(*(_cell(row.get(column, "")) for column in differing))
        Console().print(table)
        print(f"leaderboard: {path}")
        if best := best_row(self.rows, monitor, better):
            lowest = ", the lowest," if better == "min" else ""
            directory = path.parent / f"job-{best['job']}"
            print(f"best: job {best['job']}, {monitor} {best[monitor]:.4f}{lowest or ','} in {directory}")


def _place(value: float | None, better: str) -> float:
    """What rows are sorted by: the best value first, then no numbers."""
    if value is None or math.isnan(value):
        return math.inf
    return value if better == "min" else -value


def _cell(value: Any) -> str:
    from rich.markup import escape

    return f"{value:.4f}" if isinstance(value, float) else escape(printable_text(str(value)))
