"""Draw docs/which_network.png: published accuracy against processor time, measured here.

    python scripts/plot_networks.py measure resnet50_vd 'mobilenetv1*'    into the table; of several times the best
    python scripts/plot_networks.py draw                                  the plot from the table

Processor time of one thread for one picture, under the fastest engine that is installed: it hardly depends on what
else the machine does, as the time of a clock would.
"""

import csv
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from imgcls.benchmarks.latency import latencies
from imgcls.machine import cpu
from imgcls.models.registry import list_models, model_info

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PLOT = DOCS / "which_network.csv", DOCS / "which_network.png"
COLUMNS = ("name", "published_top1", "milliseconds", "engine", "processor")
ROUNDS, LEAST_SECONDS, WARM_UP = 3, 0.15, 2
WELL_KNOWN = ("mobilenetv1", "resnet18", "resnet50", "squeezenet1_1", "vgg11")
MARKS = "osD^vPX*"


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
    names = [name for pattern in patterns for name in list_models(pattern, published=True)]
    for name in dict.fromkeys(names):
        info = model_info(name)
        times = latencies(info, processor_times, threads=1)
        engine = min(times, key=times.get)
        table = {row["name"]: row for row in rows()}
        new = dict(zip(COLUMNS, (name, info.top1, f"{times[engine]:.2f}", engine, cpu.name()), strict=True))
        if name not in table or times[engine] < float(table[name]["milliseconds"]):  # others only make it longer
            table[name] = new
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(table.values(), key=lambda row: float(row["milliseconds"])))
        print(f"{name}: {times[engine]:.1f} ms ({engine})", flush=True)


def draw():
    found = [(row["name"], float(row["milliseconds"]), float(row["published_top1"])) for row in rows()]
    found.sort(key=lambda row: (row[1], -row[2]))
    best = np.maximum.accumulate([top1 for _, _, top1 in found])
    front = [row for row, limit in zip(found, [0, *best], strict=False) if row[2] > limit]
    figure, axes = plt.subplots(figsize=(9, 6), dpi=110)
    families: dict[str, list] = {}
    for name, milliseconds, top1 in found:
        families.setdefault(model_info(name).family, []).append((milliseconds, top1))
    for number, (family, points) in enumerate(sorted(families.items())):
        colour, mark = plt.get_cmap("tab20")(number % 20), MARKS[number % len(MARKS)]
        axes.scatter(*zip(*points, strict=True), color=colour, marker=mark, s=28, label=family, zorder=2)
    axes.plot([row[1] for row in front], [row[2] for row in front], color="0.6", lw=1, zorder=1)
    for name, milliseconds, top1 in front:
        axes.annotate(name, (milliseconds, top1), xytext=(-4, 5), textcoords="offset points", ha="right", fontsize=7)
    for name, milliseconds, top1 in [*(row for row in found if row[0] in WELL_KNOWN and row not in front)]:
        axes.annotate(
            name,
            (milliseconds, top1),
            xytext=(4, -10),
            textcoords="offset points",
            fontsize=7,
            color="0.4",
        )
    axes.set_xscale("log")
    axes.set_xlim(0.5)
    axes.set_xlabel("milliseconds of one core for a picture")
    axes.set_ylabel("published top-1 on ImageNet, %")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7, ncol=2, loc="lower right")
    axes.set_title(f"{len(found)} published networks; the line: nothing more accurate is faster", fontsize=10)
    figure.tight_layout()
    figure.savefig(PLOT)
    print(f"{PLOT}: {', '.join(row[0] for row in front)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", *patterns] if patterns:
            measure(patterns)
        case ["draw"]:
            draw()
        case _:
            sys.exit(__doc__)
