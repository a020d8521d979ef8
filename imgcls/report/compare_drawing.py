"""The curves of several runs over each other."""

from collections.abc import Sequence
from pathlib import Path

from imgcls.machine.files import atomic_write
from imgcls.report.compare import ComparedRun
from imgcls.report.fonts import fonts_for
from imgcls.report.title import draw_title, plain, shortened

LINES = ("-", "--", ":", "-.")
COLOURS = 10
"""Of matplotlib's cycle; then the lines are drawn otherwise."""


def draw_comparison(runs: Sequence[ComparedRun], path: Path) -> None:
    """Losses, the monitored metric and the learning rate over epochs; a curve for each run that has one."""
    with fonts_for(run.label for run in runs):
        _draw(runs, path)


def _draw(runs: Sequence[ComparedRun], path: Path) -> None:
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(["train_loss", "val_loss", *(f"val_{run.monitor}" for run in runs), "lr"]))
    panels = [name for name in names if any(name in run.curves for run in runs)] or ["train_loss"]
    figure = Figure(figsize=(4.2 * min(len(panels), 4), 4.2 * -(-len(panels) // 4)), layout="constrained")
    draw_title(figure, f"{len(runs)} runs" if len(runs) > 4 else ", ".join(shortened(run.label) for run in runs))
    handles = {}
    for number, name in enumerate(panels):
        axes = figure.add_subplot(-(-len(panels) // 4), min(len(panels), 4), number + 1)
        for place, run in enumerate(runs):
            style = {"color": f"C{place % COLOURS}", "linestyle": LINES[place // COLOURS % len(LINES)]}
            points = run.curves.get(name, [])
            (handles[place],) = axes.plot(*zip(*points, strict=True) if points else ((), ()), marker="o", ms=3, **style)
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    labels = [f" {shortened(run.label)}" for run in runs]  # one that began with a line would be left out
    legend = figure.legend(handles.values(), labels, loc="outside lower left", ncols=min(len(runs), 4), fontsize=9)
    plain(legend)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=110, format="png", bbox_inches="tight")
