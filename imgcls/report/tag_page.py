"""The page of an evaluation of pictures with several classes each: one HTML file, without a script."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.engine.meters import TagMeter
from imgcls.report.document import document, source, text
from imgcls.report.fonts import fonts_for
from imgcls.report.tag_tables import class_rows
from imgcls.report.title import plain, shortened

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #dde3ea; }
th.name, td.name { text-align: left; max-width: 22rem; overflow-wrap: anywhere; }
.tiles, .mistakes { display: flex; flex-wrap: wrap; gap: 1rem; }
.tile { padding: .6rem 1.2rem; background: #f1f4f8; border-radius: .5rem; }
.tile b { display: block; font-size: 1.5rem; }
figure { margin: 0; width: 13rem; } figure img { width: 100%; border-radius: .4rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; } img { max-width: 100%; }
"""
SHOWN = 12
DRAWN = 8
"""Curves of precision over recall: those of the classes with the lowest average precision."""


@dataclass(frozen=True)
class WrongTag:
    """A class that was taken and is not there, or that is there and was not taken."""

    position: int
    number: int
    score: float
    missing: bool


def surest_wrong_tags(meter: TagMeter, limit: int = SHOWN) -> list[WrongTag]:
    """The wrong pairs of picture and class that are farthest beyond their thresholds, at most one a picture."""
    scores, targets, thresholds = meter.scores, meter.targets, meter.thresholds()
    wrong = (scores >= thresholds) != targets
    beyond = np.where(wrong, np.abs(scores - thresholds), -1.0)
    by_picture = beyond.argmax(axis=1)
    order = np.argsort(-beyond.max(axis=1), kind="stable")[:limit]
    return [
        WrongTag(int(p), int(by_picture[p]), float(scores[p, by_picture[p]]), bool(targets[p, by_picture[p]]))
        for p in order
        if wrong[p].any()
    ]


def tag_page(
    title: str,
    summary: dict[str, Any],
    meter: TagMeter,
    mistakes: Sequence[tuple[WrongTag, str, bytes]],
    curves: Path | None,
) -> str:
    """A document in ASCII that loads nothing from anywhere.

    Args:
        mistakes: each with the path of its picture, printable, and what the network saw as JPEG.
        curves: the drawing of the run's own curves, where it is there.
    """
    texts = [(name, str(value)) for name, value in summary.items() if isinstance(value, str) and value]
    numbers = [(name, value) for name, value in summary.items() if not isinstance(value, str)]
    parts = [
        f"<h1>{text(title)}</h1>",
        f"<p>{'<br>'.join(f'{text(name)}: {text(value)}' for name, value in texts)}</p>",
        '<div class="tiles">',
        *(f'<div class="tile"><b>{_number(value)}</b>{text(name.replace("_", " "))}</div>' for name, value in numbers),
        "</div>",
        *([f'<h2>The run</h2><img alt="curves" src="{source(curves.read_bytes(), "png")}">'] if curves else []),
        f'<h2>Precision over recall</h2><img alt="precision over recall" src="{source(_drawing(meter), "png")}">',
        "<h2>Classes</h2>",
        _class_table(meter),
        "<h2>Surest wrong tags</h2>" if mistakes else "",
        '<div class="mistakes">',
        *(_figure(meter, *mistake) for mistake in mistakes),
        "</div>",
    ]
    return document(title, STYLE, "".join(parts))


def _class_table(meter: TagMeter) -> str:
    heads = ("#", "class", "pictures", "average precision", "threshold", "precision", "recall", "F1")
    rows = []
    for number, name, pictures, *values in class_rows(meter):
        cells = "".join(f"<td>{_number(value)}</td>" for value in (pictures, *values))
        rows.append(f'<tr><td>{number}</td><td class="name">{text(name)}</td>{cells}</tr>')
    titles = "".join(f'<th class="{"name" if head == "class" else ""}">{head}</th>' for head in heads)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _figure(meter: TagMeter, mistake: WrongTag, path: str, picture: bytes) -> str:
    said = "is there, and was not taken" if mistake.missing else "was taken, and is not there"
    name = text(meter.class_names[mistake.number])
    caption = f"<b>{name}</b> {said}: {mistake.score:.3f}<br>{text(path)}"
    return f'<figure><img alt="" src="{source(picture, "jpeg")}"><figcaption>{caption}</figcaption></figure>'


def _drawing(meter: TagMeter) -> bytes:
    from matplotlib.figure import Figure

    rows = [row for row in class_rows(meter) if row[2]]
    lowest = sorted(rows, key=lambda row: row[3])[:DRAWN]
    with fonts_for([name for _, name, *_ in lowest]):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for number, name, *_ in lowest:
            order = np.argsort(-meter.scores[:, number], kind="stable")
            right = np.cumsum(meter.targets[order, number])
            label = f" {shortened(name)}"  # one that began with a line would be left out
            axes.step(right / right[-1], right / np.arange(1, len(right) + 1), where="post", label=label)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
        if lowest:
            plain(axes.legend(title="lowest average precision", fontsize="small"))
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=110)
    return drawn.getvalue()


def _number(value: float | None) -> str:
    if value is None or value != value:
        return "&ndash;"
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.4f}"
