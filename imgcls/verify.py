"""``python -m imgcls.verify``: whether a data set is fit to train on."""

import csv
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.errors import UserError
from imgcls.machine.installation import require_paddle
from imgcls.machine.progress import progress_bar
from imgcls.machine.text import write_json
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    from imgcls.data.checking.verification import Problem
    from imgcls.data.formats.samples import Samples

SHOWN = 5


@entry_point("verify")
def main(config: DictConfig) -> None:
    require_paddle()
    from imgcls.data.checking.file_check import check_files
    from imgcls.data.checking.verification import KINDS, WRONG_LINE, Problem, Verification
    from imgcls.data.paths import bullet_list

    data, settings = config.data, config.verify
    start_log()
    if data.format == "synthetic":
        raise UserError("data=synthetic has no files to verify. Name another format and its data.root.")
    wrong_lines: list[Problem] = []

    def note_line_of(split: str) -> Callable[[int, str], None]:
        name = data[f"{split}_list"]
        return lambda line, fault: wrong_lines.append(Problem(WRONG_LINE, split, name, None, f"line {line}: {fault}"))

    train = _read_samples(data, "train", None, note_line_of("train"))
    val = _read_samples(data, "val", train.class_names, note_line_of("val"))
    splits = {"train": train, "val": val}
    verification = Verification(splits, settings.min_size)
    num_workers = len(os.sched_getaffinity(0)) if settings.num_workers is None else settings.num_workers
    with progress_bar(total=len(train) + len(val), desc="verifying", unit=" pictures") as bar:
        for split, samples in splits.items():
            for check in check_files(samples, num_workers, data.max_pixels, data.max_decode_seconds):
                verification.add(split, check)
                bar.update()
    problems = [*verification.finish(), *wrong_lines]

    directory = output_directory()
    counts = Counter(problem.kind for problem in problems)
    found = {kind: counts[kind] for kind in KINDS}
    images = {split: len(samples) for split, samples in splits.items()}
    _write_report(directory, problems, {"images": images, "classes": train.num_classes, "problems": found})
    log.info("%d training and %d validation pictures in %d classes", len(train), len(val), train.num_classes)
    log.info("report: %s", directory / "report.csv")
    if problems:
        shown = [f"{one.kind}: {f'{one.path}: ' if one.path not in one.detail else ''}{one.detail}" for one in problems]
        raise UserError(
            f"{len(problems):,} problems: {', '.join(f'{count:,} {kind}' for kind, count in found.items() if count)}.\n"
            f"{bullet_list(shown[:SHOWN], len(shown))}"
        )
    log.info("no problems")


def _read_samples(
    data: DictConfig, split: str, class_names: tuple[str, ...] | None, on_wrong_line: Callable[[int, str], None]
) -> "Samples":
    """A split as it is: what is wrong with its lines and classes goes into the report."""
    from imgcls.data.formats.build import build_samples

    return build_samples(
        data.format,
        root=data.root,
        train_list=data.train_list,
        val_list=data.val_list,
        class_map=data.class_map if class_names is None else None,
        num_classes=data.num_classes,
        split=split,
        class_names=class_names,
        check_files="none",
        allow_empty_classes=True,
        on_wrong_line=on_wrong_line,
    )


def _write_report(directory: Path, problems: "list[Problem]", summary: dict) -> None:
    from imgcls.data.checking.verification import Problem

    with (directory / "report.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Problem))
        writer.writerows(map(astuple, problems))
    write_json(directory / "summary.json", summary)


if __name__ == "__main__":
    main()
