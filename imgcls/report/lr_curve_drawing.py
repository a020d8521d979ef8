"""The curve of a learning-rate range test."""

from collections.abc import Sequence
from pathlib import Path

from imgcls.functional.lr_range import smoothed
from imgcls.machine.files import atomic_write
from imgcls.report.fonts import fonts_for
from imgcls.report.title import draw_title


def draw_lr_curve(
    rates: Sequence[float], losses: Sequence[float], suggested: float | None, path: Path, title: str
) -> None:
    """Loss over learning rate, each update and smoothed, and the suggested rate."""
    from matplotlib.figure import Figure

    with fonts_for([title]):
        figure = Figure(figsize=(7, 4), layout="constrained")
        draw_title(figure, title)
        axes = figure.subplots()
        axes.plot(rates, losses, ".", markersize=4, alpha=0.4, label="loss of an update")
        axes.plot(rates, smoothed(losses), label="smoothed")
        if suggested is not None:
            axes.axvline(suggested, color="tab:red", linestyle="--", label=f"suggested {suggested:.2g}")
        low = min(losses)
        axes.set_ylim(low - 0.1 * abs(low), 1.2 * max(losses[: max(1, len(losses) // 2)]))
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_write(path) as partial:
            figure.savefig(partial, dpi=110, format="png")
