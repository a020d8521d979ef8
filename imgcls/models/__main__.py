"""``python -m imgcls.models``: the networks and what is known of each, as a table, CSV, JSON or Markdown.

``--for cpu --budget 20ms`` measures on this machine which of them are the most accurate within a time.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from imgcls.errors import USER_ERROR_STATUS, UserError, close_matches
from imgcls.machine.installation import require_paddle
from imgcls.machine.modules import import_modules
from imgcls.machine.signals import status_of
from imgcls.machine.streams import prepare_streams
from imgcls.machine.text import json_text
from imgcls.models.registry import ModelInfo, catalogue, list_models

SHOWN = 10  # networks within a budget
WIDTH = 110  # of the table where there is no terminal
PROVENANCE = """\
Top-1 and top-5 are percentages on ImageNet validation as they were published with the weights, not measured here.
MACs are the multiplications of convolutions and fully connected layers for one picture of the input size.
Weights that are pinned are taken only with the sha256 of the catalogue; the others are noted down when first fetched.\
"""
PAGE = """\
# Models

<!-- Written by: python -m imgcls.models --format markdown > docs/models.md -->

The original's {count} networks, {published} of them with published weights, and [{modern_count} modern ones](#modern).
`model=<name>` and `imgcls.create_model("<name>")` take a name in any case. Input is the side of the picture in pixels,
resize the length of its short side before evaluation cuts out the centre.

{provenance}

{table}

## Modern

{modern_count} networks that the original did not have, equal to their source within 1e-5 of its logits. Their tensors
carry the names of the source's state dict, so that its files load by name. Weights are the source's, under its licence;
they are named here and not downloaded by themselves. Top-1 and top-5 are the source's figures for those weights, on
pictures of the size beside them, and were not measured here either. Images of other sizes than a ViT was made for have
its embeddings of positions interpolated, which is logged; Swin fills up windows. The graphs of both are for one size.
The networks of DINOv2 have no head of their own: `model.exclude=[head]` leaves it fresh. `model.args.drop_path` leaves
out branches in training, except in RepVGG, PP-LCNet and PP-HGNet, whose sources do not; for ConvNeXt, ViT and Swin
`model.args.checkpointing=true` trades a third more time for memory (batch norms of the others would count twice).
RepVGG, PP-LCNetV2 and ACNet are fused for use by `to_deploy()`, and exported so.

[How they were compared, how long they take, and recipes of papers](modern.md). Blocks near the images may learn more
slowly than those behind them:

```bash
python -m imgcls.train model=convnext_atto data=sample optimizer=adamw optimizer.layer_decay=0.8 run.name=tuned
```

{modern_table}
"""
MARKDOWN_COLUMNS = {
    "name": "---",
    "family": "---",
    "params": "---:",
    "MACs": "---:",
    "input": "---:",
    "resize": "---:",
    "interpolation": "---",
    "published top-1": "---:",
    "published top-5": "---:",
    "weights": "---",
}
MODERN_COLUMNS = {
    **{name: MARKDOWN_COLUMNS[name] for name in ("name", "family", "params", "MACs", "input", "resize")},
    "interpolation": "---",
    "source's top-1": "---:",
    "source's top-5": "---:",
    "at": "---:",
    "weights": "---",
    "licence": "---",
}


def select(patterns: Sequence[str], published: bool = False) -> list[ModelInfo]:
    """The models any of the shell-style patterns matches, in natural order.

    Args:
        published: only those with published weights.

    Raises:
        UserError: a pattern matches nothing.
    """
    matches: set[str] = set()
    for pattern in patterns:
        names = list_models(pattern, published=published or None)
        if not names:
            kind = "published model" if published else "model"
            candidates = list_models(published=published or None)
            raise UserError(f"No {kind} matches '{pattern}'.{close_matches(pattern.lower().strip('*'), candidates)}")
        matches.update(names)
    return [info for name, info in catalogue().items() if name in matches]


def records(infos: Sequence[ModelInfo]) -> list[dict[str, Any]]:
    """All facts of each model; accuracies are named for what they are, published ones."""
    return [
        {
            **{key: value for key, value in asdict(info).items() if key not in ("module", "top1", "top5", "bundled")},
            "published_top1": info.top1,
            "published_top5": info.top5,
            "weights_bundled": info.bundled,
        }
        for info in infos
    ]


def print_table(infos: Sequence[ModelInfo]) -> None:
    right = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("name", no_wrap=True),
        Column("family", overflow="ellipsis", min_width=3),
        Column("params", **right),
        Column("MACs", **right),
        Column("input", **right),
        Column("published\ntop-1 / top-5", **right),
        Column("weights", no_wrap=True),
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption=PROVENANCE,
        caption_justify="left",
    )
    for info in infos:
        accuracy = " / ".join(filter(None, _accuracies(info)))
        published = "pinned" if info.weights_sha256 else "url" if info.weights_url else info.licence or ""
        weights = "bundled" if info.bundled else published
        table.add_row(info.name, info.family, *_sizes(info), accuracy, weights)
    Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False).print(table)


def print_csv(infos: Sequence[ModelInfo]) -> None:
    """One line a model; the three numbers of mean and of std with blanks between them."""
    rows = records(infos)
    writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: " ".join(map(str, value)) if isinstance(value, tuple) else value for key, value in row.items()}
        )


def print_json(infos: Sequence[ModelInfo]) -> None:
    print(json_text(records(infos), indent=1))


def print_markdown(infos: Sequence[ModelInfo]) -> None:
    """``docs/models.md``."""
    rows, modern_rows = [], []
    for info in infos:
        evaluation = [str(info.resize_size), info.interpolation, *_accuracies(info)]
        facts = [f"`{info.name}`", info.family, *_sizes(info), *evaluation]
        if info.modern:
            modern_rows.append([*facts, str(info.measured_size or ""), info.source, info.licence or ""])
        else:
            rows.append([*facts, _markdown_weights(info)])
    page = PAGE.format(
        count=len(rows),
        published=sum(info.published for info in infos),
        provenance=PROVENANCE,
        table=_table(MARKDOWN_COLUMNS, rows),
        modern_count=len(modern_rows),
        modern_table=_table(MODERN_COLUMNS, modern_rows),
    )
    print(page, end="")


def _markdown_weights(info: ModelInfo) -> str:
    link = f"[{info.weights_url.rsplit('/', 1)[1]}]({info.weights_url})" if info.weights_url else ""
    link += " (pinned)" if info.weights_sha256 else ""
    return f"bundled; {link}" if info.bundled else link


def _table(columns: dict[str, str], rows: Iterable[list[str]]) -> str:
    return "\n".join(map(_line, [columns, columns.values(), *rows]))


def _sizes(info: ModelInfo) -> list[str]:
    return [_rounded(info.params), _rounded(info.macs), str(info.input_size)]


def _rounded(count: int | None) -> str:
    """To three digits, in millions or milliards; nothing if it is not known."""
    if count is None:
        return ""
    value, unit = (count / 1e9, "G") if count >= 999.5e6 else (count / 1e6, "M")
    return f"{f'{value:#.3g}'.rstrip('.')} {unit}"


def _accuracies(info: ModelInfo) -> list[str]:
    return ["" if value is None else f"{value:.2f}" for value in (info.top1, info.top5)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def budget_of(text: str) -> float:
    """Milliseconds of ``20ms``, ``20 ms``, ``0.02s`` or ``20``.

    Raises:
        UserError: it is no time.
    """
    match = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|)", text.strip())
    value = float(match[1]) * (1000 if match[2] == "s" else 1) if match else 0
    if not value:
        raise UserError(f"--budget {text}: it must be a time for a picture, such as 20ms.")
    return value


def print_choice(infos: Sequence[ModelInfo], budget: float) -> None:
    """The most accurate within the budget, measured now."""
    require_paddle()
    from imgcls.benchmarks.latency import choose

    table = choose(infos, budget, SHOWN, tell=lambda line: print(line, file=sys.stderr, flush=True))
    Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False).print(table)


FORMATS = {"table": print_table, "csv": print_csv, "json": print_json, "markdown": print_markdown}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    prepare_streams()
    parser = argparse.ArgumentParser(prog="python -m imgcls.models", description="List the networks.")
    parser.add_argument("patterns", nargs="*", default=["*"], metavar="pattern", help="such as 'resnet*_vd'")
    parser.add_argument("--published", action="store_true", help="only models with published weights")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--import", dest="imports", metavar="module", action="append", default=[], help="with your own")
    parser.add_argument("--for", dest="device", choices=("cpu",), help="measure on this machine, with --budget")
    parser.add_argument("--budget", metavar="TIME", help="for a picture, as 20ms: the most accurate networks within it")
    options = parser.parse_args(arguments)
    if (options.device is None) != (options.budget is None):
        parser.error("--for cpu and --budget belong together, as in --for cpu --budget 20ms")
    if options.device and options.format != "table":
        parser.error(f"--for {options.device} prints a table: leave out --format")
    try:
        budget = budget_of(options.budget) if options.budget else None
        import_modules(options.imports)
        infos = select(options.patterns, options.published)
        if budget:
            print_choice(infos, budget)
            return 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_STATUS
    try:
        FORMATS[options.format](infos)
        sys.stdout.flush()
    except OSError as error:
        print(f"error: standard output: {error.strerror}.", file=sys.stderr)
        return USER_ERROR_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(status_of(main))
