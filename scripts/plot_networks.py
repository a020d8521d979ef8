"""Draw docs/which_network.png: published accuracy against processor time, measured here.

    python scripts/plot_networks.py measure resnet50_vd 'mobilenetv1*'    into the table; of several times the best
    python scripts/plot_networks.py measure '*'                           all, those that the table lacks first
    python scripts/plot_networks.py draw                                  the plot from the table, and its front

Processor time of one thread for one picture, under the fastest engine that is installed: it hardly depends on what
else the machine does, as the time of a clock would.
"""

import csv
import gc
import os
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
os.environ.setdefault("FLAGS_use_system_allocator", "1")  # memory of the largest is given back
import matplotlib.pyplot as plt
import numpy as np

from imgcls.benchmarks.latency import latencies
from imgcls.machine import cpu
from imgcls.models.registry import list_models, model_info

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PLOT = DOCS / "which_network.csv", DOCS / "which_network.png"
COLUMNS = ("name", "published_top1", "milliseconds", "engine", "processor")
ROUNDS, LEAST_SECONDS, WARM_UP = 3, 0.15, 2
MARKS = "osD^vPX*"
LABEL_STEPS = range(6, 130, 3)
"""Of a label: how far above its point it may stand, in points; the first height at which nothing is below it."""


def processor_times(runs, images):
    """Milliseconds of the processor for a batch, by engine: the best of some rounds."""
    found = {}
    for name, run in runs.items():
        for _ in range(WARM_UP):
            run(images)
        rounds = []
        for _ in range(ROUNDS):
            count, started = 0, time.process_time()
            while not count or time.process_time() - started < LEAST_SECONDS:
                run(images)
                count += 1
            rounds.append(1000 * (time.process_time() - started) / count)
        found[name] = min(rounds)
    return found


def rows():
    if not TABLE.is_file():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measure(patterns):
    """Those that the table lacks first, and the smallest first; gives how many could not be measured."""
    names = {name for pattern in patterns for name in list_models(pattern, published=True)}
    known = {row["name"] for row in rows()}
    failures = 0
    for name in sorted(names, key=lambda name: (name in known, model_info(name).macs)):
        info, began = model_info(name), time.monotonic()
        try:
            times = latencies(info, processor_times, threads=1)
        except Exception as error:  # the others are measured nevertheless
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            failures += 1
            continue
        engine = min(times, key=times.get)
        table = {row["name"]: row for row in rows()}
        new = dict(zip(COLUMNS, (name, info.top1, f"{times[engine]:.2f}", engine, cpu.name()), strict=True))
        if name not in table or times[engine] < float(table[name]["milliseconds"]):  # others only make it longer
            table[name] = new
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(table.values(), key=lambda row: float(row["milliseconds"])))
        print(f"{name}: {times[engine]:.1f} ms ({engine}), in {time.monotonic() - began:.0f} s", flush=True)
        gc.collect()
    return failures


def draw():
    found = [(row["name"], float(row["milliseconds"]), float(row["published_top1"])) for row in rows()]
    found.sort(key=lambda row: (row[1], -row[2]))
    best = np.maximum.accumulate([top1 for _, _, top1 in found])
    front = [row for row, limit in zip(found, [0, *best], strict=False) if row[2] > limit]
    figure, axes = plt.subplots(figsize=(11, 6.5), dpi=110)
    families: dict[str, list] = {}
    for name, milliseconds, top1 in found:
        families.setdefault(model_info(name).family, []).append((milliseconds, top1))
    for number, (family, points) in enumerate(sorted(families.items())):
        colour, mark = plt.get_cmap("tab20")(number % 20), MARKS[number % len(MARKS)]
        axes.scatter(*zip(*points, strict=True), color=colour, marker=mark, s=22, label=family, zorder=2)
    axes.plot([row[1] for row in front], [row[2] for row in front], color="0.6", lw=1, zorder=1)
    axes.set_xscale("log")
    axes.set_xlim(left=found[0][1] / 3)  # room for a name
    axes.set_ylim(top=max(row[2] for row in found) + 7)
    axes.set_xlabel("milliseconds of one core for a picture")
    axes.set_ylabel("published top-1 on ImageNet, %")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes.set_title(f"{len(found)} published networks; the line: nothing more accurate is faster", fontsize=10)
    figure.tight_layout()
    label(figure, axes, front, [row[1:] for row in found])
    figure.savefig(PLOT)
    print(f"{PLOT}\n\n| milliseconds of a core | network | its published top-1 |\n|---:|---|---:|")
    for name, milliseconds, top1 in front:
        print(f"| {milliseconds:.3g} | `{name}` | {top1:.1f} |")


def label(figure, axes, front, points):
    """Names above the front, each as low as it can stand without touching a point or another name."""
    renderer = figure.canvas.get_renderer()
    marks = axes.transData.transform(points)
    taken = []
    for name, milliseconds, top1 in front:
        for height in LABEL_STEPS:
            text = axes.annotate(
                name,
                (milliseconds, top1),
                xytext=(-5, height),
                textcoords="offset points",
                ha="right",
                fontsize=7,
                arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.5, "shrinkA": 0, "shrinkB": 2},
            )
            text.update_positions(renderer)
            box = matplotlib.text.Text.get_window_extent(text, renderer).padded(2)  # without its line
            if not any(box.overlaps(other) for other in taken) and not box.count_contains(marks):
                taken.append(box)
                break
            text.remove()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", *patterns] if patterns:
            sys.exit(min(measure(patterns), 1))
        case ["draw"]:
            draw()
        case _:
            sys.exit(__doc__)
