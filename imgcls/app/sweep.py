"""Multirun sweeps: what each job reached, as a table and ``leaderboard.csv``."""

import csv
import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from imgcls.app.overrides import as_typed


class Leaderboard(Callback):
    """A Hydra callback: names each job as it starts and ranks them all when the sweep is over."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if "num" in config.hydra.job:
            shown = " ".join("=".join(as_typed(override)) for override in config.hydra.overrides.task)
            print(f"\njob {config.hydra.job.num}: {shown}")

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        directory = Path(config.hydra.runtime.output_dir)
        summary = directory / "summary.json"
        reached = json.loads(summary.read_text())["best"] if summary.exists() else {}
        overrides = dict(map(as_typed, config.hydra.overrides.task))
        status = "done" if summary.exists() else "failed"
        self.rows.append({"job": config.hydra.job.get("num", 0), "status": status, **overrides, **reached})

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from rich.console import Console
        from rich.table import Table

        monitor = config.trainer.monitor
        self.rows.sort(key=lambda row: -row.get(monitor, float("-inf")))
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        path = Path(config.hydra.sweep.dir) / "leaderboard.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        differing = [name for name in columns if len({str(row.get(name)) for row in self.rows}) > 1 or name == "job"]
        table = Table(*differing)
        for row in self.rows:
            table.add_row(*(_cell(row.get(column, "")) for column in differing))
        Console().print(table)
        print(f"leaderboard: {path}")
        best = self.rows[0]
        if best["status"] == "done":
            directory = path.parent / f"job-{best['job']}"
            print(f"best: job {best['job']}, {monitor} {best[monitor]:.4f}, in {directory}")


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
