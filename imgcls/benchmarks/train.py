"""How fast a network trains: in each precision, layout and mode, on one device and on several."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from imgcls.machine.progress import progress_bar
from imgcls.run.launcher import Job, RankFailed, run_ranks

HEADINGS = ("precision", "layout", "mode", "count", "img/s", "speed-up", "memory\nMB", "data\nwait", "exchange")
NARROW = {"box": SIMPLE, "show_edge": False, "pad_edge": False, "collapse_padding": True}
NO_HALF_ON_CPU = "not on a CPU: Paddle 2.6.2 switches autocast off there and has no half-precision convolutions"


@dataclass(frozen=True)
class Setting:
    """One row of a table.

    Args:
        data: ``synthetic``: the same batch, already on the device; ``real``: pictures from files.
        precision: ``float32``, or the level of mixed precision: ``O1``, ``O2``.
        data_format: ``NCHW`` or ``NHWC``.
        compile: the network as a graph.
        processes: GPUs, or processes on a CPU.
    """

    data: str
    precision: str
    data_format: str
    compile: bool
    processes: int


def measure_train(
    title: str,
    command: list[str],
    composed: str,
    *,
    data: list[str],
    precisions: list[str],
    data_formats: list[str],
    compile: list[bool],
    processes: list[int],
    gpus: int,
    repeats: int,
) -> Iterator[Table]:
    """A table for each kind of data, with medians over ``repeats``, in which all settings take turns.

    Every measurement has processes of its own. What cannot run here is listed with the reason.

    Args:
        title: what all tables have in common.
        command: the program of one process. It is given a ``Setting`` as JSON and the path of a file, into which
            rank 0 writes ``train_speed.Figures`` as JSON.
        composed: what its standard input holds.
        gpus: how many this machine has; without any, processes share its cores.
    """
    for kind in data:
        settings = [Setting(kind, *choice) for choice in product(precisions, data_formats, compile, processes)]
        reasons = {setting: reason for setting in settings if (reason := _why_not(setting, gpus))}
        results: dict[Setting, list[dict[str, float]]] = defaultdict(list)
        turns = [setting for _ in range(repeats) for setting in settings if setting not in reasons]
        for setting in progress_bar(turns, desc=kind):
            if setting in reasons:
                continue
            try:
                results[setting].append(_run(command, composed, setting))
            except RankFailed as error:
                reasons[setting] = _reason(str(error))
        figures = {
            setting: {name: median(run[name] for run in runs) for name in runs[0]}
            for setting, runs in results.items()
            if setting not in reasons
        }
        yield _table(f"{title}, {kind} data", settings, figures, reasons, "GPUs" if gpus else "processes on the CPU")


def _reason(message: str) -> str:
    """What a process said before it ended: its message, else the last line of its log."""
    said = message.rpartition("error: ")[2] if "error: " in message else message.splitlines()[-1]
    return " ".join(said.split())


def _why_not(setting: Setting, gpus: int) -> str | None:
    if not gpus:
        return NO_HALF_ON_CPU if setting.precision != "float32" else None
    if setting.processes > gpus:
        return f"this machine has {gpus} GPU" + "s" * (gpus > 1)
    return None


def _run(command: list[str], composed: str, setting: Setting) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "figures.json"
        run_ranks(
            [*command, json.dumps(asdict(setting)), str(result)],
            Job(setting.processes),
            Path(directory),
            stdin=composed,
        )
        return json.loads(result.read_text(encoding="utf-8"))


def _table(
    title: str,
    settings: list[Setting],
    figures: dict[Setting, dict[str, float]],
    reasons: dict[Setting, str],
    devices: str,
) -> Table:
    smallest = min(setting.processes for setting in settings)
    notes = list(dict.fromkeys(reasons[setting] for setting in settings if setting in reasons))
    table = Table(*HEADINGS, title=title, caption_justify="left", **NARROW)
    for column in table.columns[HEADINGS.index("count") :]:
        column.justify = "right"
    for setting in settings:
        mode = "compiled" if setting.compile else "eager"
        labels = setting.precision, setting.data_format, mode, str(setting.processes)
        if setting in figures:
            table.add_row(*labels, *_cells(figures[setting], figures.get(replace(setting, processes=smallest))))
        else:
            table.add_row(*labels, f"[{notes.index(reasons[setting]) + 1}]", *"----")
    explained = [f"count: {devices}; speed-up: over {smallest} of them; exchange: what talking to the others costs"]
    explained += [f"[{number}] {escape(note)}" for number, note in enumerate(notes, start=1)]
    table.caption = "\n".join(explained)
    return table


def _cells(figures: dict[str, float], smallest: dict[str, float] | None) -> list[str]:
    rate = figures["images_per_s"]
    return [
        f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}",
        f"{rate / smallest['images_per_s']:.2f}x" if smallest else "-",
        f"{figures['memory_mb']:,.0f}",
        f"{figures['waiting']:.0%}",
        f"{max(0.0, figures['exchange']):.0%}",
    ]
