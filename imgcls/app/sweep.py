"""Multirun sweeps: what each job reached, as a table and ``leaderboard.csv``.

A job may run in another process or on another machine, as its launcher likes. What it reached it notes down itself,
in a file below the sweep's directory; the process that was asked for the sweep reads these when all is over.
"""

import csv
import json
import math
import shutil
import statistics
import sys
import traceback
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from imgcls.app.overrides import as_typed
from imgcls.app.program import exit_status, failures, user_message, when_broken_off
from imgcls.app.recorded_config import recorded_config
from imgcls.app.submitted_jobs import lack_of_accounts, leave_threads_to, wait_for_the_others
from imgcls.errors import USER_ERROR_STATUS, UserError, listed
from imgcls.functional.monitoring import best_row, direction
from imgcls.machine.files import atomic_write
from imgcls.machine.reading import read_json
from imgcls.machine.spreadsheet import harmless
from imgcls.machine.text import escape_controls, printable_text

NOTES = ".jobs"
"""In the sweep's directory, while it lasts: a file for each job that has begun."""

BEGUN, DONE, PRUNED, FAILED, ENDED = "begun", "done", "pruned", "failed", "ended early"
"""The last is what becomes of the first where nothing more was heard: its process was killed."""

TOLD, REASONS = 2000, 10
"""Characters of why a job failed that are noted down, and how many reasons are told of a sweep."""

FOLD = "data.fold"


class Leaderboard(Callback):
    """A Hydra callback: names each job as it starts and ranks them all when the sweep is over."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        shutil.rmtree(_notes(config), ignore_errors=True)  # of a sweep that was killed
        when_broken_off.extend((partial(wait_for_the_others, config), partial(self.on_multirun_end, config)))
        leave_threads_to(config)
        if warning := lack_of_accounts(config):
            print(warning, file=sys.stderr)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if "num" in config.hydra.job:
            shown = " ".join("=".join(as_typed(override)) for override in config.hydra.overrides.task)
            print(f"\njob {config.hydra.job.num}: {shown}", flush=True)
            _note(config, BEGUN)

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        if "num" not in config.hydra.job:
            return
        number = config.hydra.job.num
        if number in failures:  # what is there was left by an older run
            error = failures[number]
            words = user_message(error) or "".join(traceback.format_exception_only(error)).strip()
            _note(config, FAILED, exit_status=exit_status(error), words=words[:TOLD])
            return
        summary = Path(config.hydra.runtime.output_dir) / "summary.json"
        ended = read_json(summary) if summary.exists() else {}
        monitor = None
        if (recorded := summary.with_name("config.yaml")).exists():  # a job that goes on has those of its run
            settings = recorded_config(recorded).trainer
            monitor = [settings.monitor, direction(settings.monitor, settings.monitor_mode)]
        _note(config, PRUNED if ended.get("pruned") else DONE, reached=ended.get("best", {}), monitor=monitor)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        when_broken_off.clear()
        notes = sorted(map(read_json, _notes(config).glob("*.json")), key=lambda note: note["job"])
        shutil.rmtree(_notes(config), ignore_errors=True)
        elsewhere = [note for note in notes if note["status"] not in (DONE, PRUNED) and note["job"] not in failures]
        _tell_failures(elsewhere)
        for note in elsewhere:
            is_mistake = note.get("exit_status") == USER_ERROR_STATUS
            failures[note["job"]] = (UserError if is_mistake else RuntimeError)(note.get("words", ENDED))
        monitor, better = config.trainer.monitor, direction(config.trainer.monitor, config.trainer.monitor_mode)
        monitors = {tuple(note["monitor"]) for note in notes if note.get("monitor")}
        if len(monitors) == 1:
            ((monitor, better),) = monitors
        rows = [_row(note) for note in notes]
        rows.sort(key=lambda row: _place(row.get(monitor), better))
        path = Path(config.hydra.sweep.dir) / "leaderboard.csv"
        columns = _write(path, rows)
        _show(rows, [name for name in columns if len({str(row.get(name)) for row in rows}) > 1 or name == "job"])
        print(f"leaderboard: {path}")
        lowest = ", the lowest," if better == "min" else ""
        if best := best_row(rows, monitor, better):
            directory = next(note["directory"] for note in notes if note["job"] == best["job"])
            print(f"best: job {best['job']}, {monitor} {best[monitor]:.4f}{lowest or ','} in {directory}")
        if over := _over_folds(notes, monitor, better):
            _tell_folds(over, path.with_name("folds.csv"), monitor, better)


def _notes(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir) / NOTES


def _note(config: DictConfig, status: str, **more: Any) -> None:
    directory = _notes(config)
    directory.mkdir(parents=True, exist_ok=True)
    number, overrides = config.hydra.job.num, dict(map(as_typed, config.hydra.overrides.task))
    note = {"job": number, "status": status, "overrides": overrides, "directory": config.hydra.runtime.output_dir}
    with atomic_write(directory / f"{number}.json") as partial:
        partial.write_text(json.dumps(note | more), encoding="utf-8")


def _tell_failures(notes: Iterable[dict[str, Any]]) -> None:
    """Why jobs of other processes failed, each reason once: what they said themselves is in files of the launcher's."""
    jobs_of: dict[str, list[int]] = {}
    for note in notes:
        if "words" in note:
            jobs_of.setdefault(note["words"], []).append(note["job"])
    for words, jobs in list(jobs_of.items())[:REASONS]:
        print(escape_controls(f"job {listed(jobs)}: {words}", lines=True), file=sys.stderr)
    if len(jobs_of) > REASONS:
        print(f"... and {len(jobs_of) - REASONS:,} other reasons.", file=sys.stderr)


def _row(note: dict[str, Any]) -> dict[str, Any]:
    status = ENDED if note["status"] == BEGUN else note["status"]
    return {"job": note["job"], "status": status, **note["overrides"], **note.get("reached", {})}


def _over_folds(notes: Iterable[dict[str, Any]], monitor: str, better: str) -> list[dict[str, Any]]:
    """Of each setting the number of folds, and mean and standard deviation over them; the best mean first."""
    groups: dict[tuple[tuple[str, str], ...], list[dict[str, float]]] = {}
    for note in notes:
        if FOLD in note["overrides"]:
            setting = tuple((key, value) for key, value in note["overrides"].items() if key != FOLD)
            reached = {key: value for key, value in note.get("reached", {}).items() if isinstance(value, int | float)}
            groups.setdefault(setting, []).extend([reached] if reached else [])
    rows = []
    for setting, reached in groups.items():
        row: dict[str, Any] = {**dict(setting), "folds": len(reached)}
        for name in dict.fromkeys(name for one in reached for name in one if name != "epoch"):
            values = [one[name] for one in reached if name in one]
            row[name] = statistics.fmean(values)
            row[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else math.nan
        rows.append(row)
    rows.sort(key=lambda row: _place(row.get(monitor), better))
    return rows


def _tell_folds(rows: list[dict[str, Any]], path: Path, monitor: str, better: str) -> None:
    columns = _write(path, rows)
    if len(rows) > 1:
        shown = ("folds", monitor, f"{monitor}_deviation")
        _show(rows, [name for name in columns if name in shown or len({str(row.get(name)) for row in rows}) > 1])
    print(f"over folds: {path}")
    if (best := rows[0]).get(monitor) is not None:
        fixed = {name for name in best if len({str(row.get(name)) for row in rows}) == 1}
        setting = " ".join(
            f"{name}={value}" for name, value in best.items() if isinstance(value, str) and name not in fixed
        )
        deviation = best[f"{monitor}_deviation"]
        spread = "" if math.isnan(deviation) else f" ± {deviation:.4f}"
        means = f"{best[monitor]:.4f}{spread} over {best['folds']} fold{'s' * (best['folds'] != 1)}"
        print(f"{'best' if len(rows) > 1 else 'mean'}: {f'{setting}, ' * bool(setting)}{monitor} {means}")


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows as a table; returns its columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        atomic_write(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    return columns


def _show(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    Console().print(table)


def _place(value: float | None, better: str) -> float:
    """What rows are sorted by: the best value first, then no numbers."""
    if value is None or math.isnan(value):
        return math.inf
    return value if better == "min" else -value


def _cell(value: Any) -> str:
    from rich.markup import escape

    return f"{value:.4f}" if isinstance(value, float) else escape(printable_text(str(value)))
