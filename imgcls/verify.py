"""``python -m imgcls.verify``: whether a data set is fit to train on."""

import csv
import os
from collections import Counter
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.installation import require_paddle
from imgcls.machine.progress import progress_bar
from imgcls.machine.spreadsheet import harmless
from imgcls.machine.text import write_json
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    from imgcls.data.checking.verification import Problem

SHOWN = 5


@entry_point("verify")
def main(config: DictConfig) -> None:
    require_paddle()
    from imgcls.app.verification import read_splits, training_command
    from imgcls.data.checking import likeness
    from imgcls.data.checking.file_check import check_files
    from imgcls.data.checking.verification import KINDS, UNREADABLE, Verification
    from imgcls.data.paths import bullet_list

    data, settings = config.data, config.verify
    start_log()
    if data.format in ("synthetic", "own"):
        raise UserError(f"data={data.format} has no files to verify. Name another format and its data.root.")
    found = read_splits(data)
    looks = settings.similar and likeness.is_available()
    verification = Verification(found.samples, settings.min_size)
    num_workers = len(os.sched_getaffinity(0)) if settings.num_workers is None else settings.num_workers
    sizes = {split: len(samples) for split, samples in found.samples.items()}
    with progress_bar(total=sum(sizes.values()), desc="verifying", unit=" pictures") as bar:
        for split, samples in found.samples.items():
            for check in check_files(samples, num_workers, data.max_pixels, data.max_decode_seconds, looks):
                verification.add(split, check)
                bar.update()
    problems = [*verification.finish(), *found.wrong_lines]

    directory = output_directory()
    counts = Counter(problem.kind for problem in problems)
    num_classes = found.samples["train"].num_classes
    summary = {
        "images": sizes,
        "classes": num_classes,
        "problems": {kind: counts[kind] for kind in KINDS},
        "left_out": {split: {**noted.files, **noted.folders} for split, noted in found.left_out.items()},
    }
    _write_report(directory, problems, summary)
    log.info("%d training and %d validation pictures in %d classes", sizes["train"], sizes.get("val", 0), num_classes)
    for split, noted in found.left_out.items():
        log.info("%s: %s", split, noted.line())
    if settings.similar and not looks:
        log.warning(likeness.MISSING)
    log.info("report: %s", directory / "report.csv")
    command = training_command(data, skip=counts[UNREADABLE] > 0)
    if problems:
        shown = [f"{one.kind}: {f'{one.path}: ' if one.path not in one.detail else ''}{one.detail}" for one in problems]
        log.info("to train all the same: %s", command)
        raise UserError(
            f"{len(problems):,} problems: {', '.join(f'{counts[kind]:,} {kind}' for kind in KINDS if counts[kind])}.\n"
            f"{bullet_list(shown[:SHOWN], len(shown))}"
        )
    log.info("no problems")
    log.info("to train: %s", command)


def _write_report(directory: Path, problems: "list[Problem]", summary: dict) -> None:
    from imgcls.data.checking.verification import Problem

    report = directory / "report.csv"
    with atomic_write(report) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Problem))
        writer.writerows(map(harmless, astuple(problem)) for problem in problems)
    write_json(directory / "summary.json", summary)


if __name__ == "__main__":
    main()
