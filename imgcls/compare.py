"""``python -m imgcls.compare outputs/a outputs/b``: training runs side by side."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    from rich.table import Table

OF_PICTURES = {"data.root", "data.format", "data.train_list", "data.val_list", "data.val_share", "data.fold"}
"""Settings that say what a run was judged on."""

FEW = 5
"""So many runs have room beside each other."""


@entry_point("compare")
def main(config: DictConfig) -> None:
    from rich.console import Console

    from imgcls.machine.spreadsheet import write_spreadsheet
    from imgcls.report.compare import best_run, differences, read_runs, table
    from imgcls.report.compare_drawing import draw_comparison

    start_log()
    runs = read_runs(config.compare.runs, log.warning)
    header, rows = table(runs)
    different = differences(runs)
    directory = output_directory()
    draw_comparison(runs, directory / "compare.png")
    extended = [[*row, *(_text(values[place]) for values in different.values())] for place, row in enumerate(rows)]
    columns = ["seconds" if name == "time" else name for name in header]
    write_spreadsheet(directory / "compare.csv", [*columns, *different], extended)
    console = Console()
    console.print(_shown(*_main_columns(header, rows)))
    if different and len(runs) <= FEW:
        console.print(_shown(["different", *(run.label for run in runs)], [[k, *v] for k, v in different.items()]))
    elif different:
        console.print(f"different, see the table: {', '.join(different)}", markup=False)
    best = best_run(runs)
    if best is not None and len(runs) > 1:
        reached = best.best()
        others = ", though not all on the same pictures" if OF_PICTURES & set(different) else ""
        said = best.label, best.monitor, reached[best.monitor], reached["epoch"], others
        log.info("best: %s, %s %.4f in epoch %d%s", *said)
    log.info("curves: %s", directory / "compare.png")
    log.info("table: %s", directory / "compare.csv")


def _main_columns(header: list[str], rows: list[list[Any]]) -> tuple[list[str], list[list[Any]]]:
    """What a terminal has room for: not what all runs share, and of the metrics the first two."""
    first = header.index("batch") + 1
    metrics = header[first : header.index("best epoch")]
    alike = {name for place, name in enumerate(header) if len({str(row[place]) for row in rows}) == 1 < len(rows)}
    hidden = {*metrics[2:], *(alike & {"status", "model", "lr", "batch"})}
    places = [place for place, name in enumerate(header) if name not in hidden]
    return [header[place] for place in places], [[row[place] for place in places] for row in rows]


def _shown(header: list[str], rows: list[list[Any]]) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Column, Table

    cells = [[_cell(name, value) for name, value in zip(header, row, strict=True)] for row in rows]
    widths = [0, *(max(map(len, column)) for column in list(zip(*cells, strict=True))[1:])]  # the run's name may fold
    columns = (
        Column(escape(name), overflow="fold", min_width=min(width, 12))
        for name, width in zip(header, widths, strict=True)
    )
    shown = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in cells:
        shown.add_row(*map(escape, row))
    return shown


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "time":
        return str(timedelta(seconds=round(value)))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> Any:
    """Lists of settings as one cell."""
    return value if isinstance(value, int | float | None) else str(value)


if __name__ == "__main__":
    main()
