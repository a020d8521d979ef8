"""Lists of samples: a text file of lines ``path label``, as the original's ``train_list.txt``.

The label is what follows the last blank, so paths may hold blanks. Windows line ends and backslashes,
tabs, blank lines, a UTF-8 byte-order mark and names in any encoding are fine. Lists of ImageNet's size are read in
about a second: the lines are taken apart by numpy, and only wrong lines are looked at one by one.
"""

import os
import re
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import numpy as np

from imgcls.data.choices import FILE_CHECKS
from imgcls.data.formats.class_names import default_class_names
from imgcls.data.formats.samples import Samples, require_samples_in_every_class
from imgcls.data.paths import advice_on_form, bullet_list, printable
from imgcls.errors import UserError
from imgcls.machine.limits import LIST_BYTES
from imgcls.machine.reading import read_bytes

CHECK_ALL_UP_TO = 100_000
SAMPLE_SIZE = 1_000
SHOWN = 5
LABEL_DIGITS = 9
MOST_CLASSES = 1_000_000
"""That are believed without ``num_classes``; more is a wrong column or a typing mistake."""

OF_WINDOWS = re.compile(rb"[A-Za-z]:[\\/]")

IS_BLANK = np.zeros(256, bool)
IS_BLANK[list(b" \t\r\v\f")] = True


def read_list(
    root: str | os.PathLike,
    list_file: str | os.PathLike,
    num_classes: int | None = None,
    class_names: tuple[str, ...] | None = None,
    check_files: str = "auto",
    allow_empty_classes: bool = False,
    on_wrong_line: Callable[[int, str], None] | None = None,
) -> Samples:
    """Read a list of samples and check it.

    Args:
        root: directory that the list's paths start from.
        num_classes: labels are checked against it; the number of ``class_names``, or else the
            largest label of the list plus one, when left out.
        class_names: names of the labels; the defaults of ``default_class_names`` when left out.
        check_files: whether the images exist: ``all``, ``sample`` (1,000 spread over the list),
            ``none``, or ``auto``: all of a list of up to 100,000 lines, a sample of a longer one.
        allow_empty_classes: accept classes without an image.
        on_wrong_line: called with number and fault of each wrong line, which is then left out.

    Raises:
        UserError: the list is missing or empty, or lines of it are wrong (named by their numbers; not with
            ``on_wrong_line``).
    """
    if check_files not in FILE_CHECKS:
        raise UserError(f"check_files is '{check_files}'; it can be {', '.join(FILE_CHECKS)}.")
    if num_classes is None and class_names is not None:
        num_classes = len(class_names)
    name = printable(list_file)
    text = read_list_bytes(list_file, name)
    lines = _checked_lines(text, num_classes, name, on_wrong_line)
    if b"\\" in text and _is_of_windows(text, lines, os.fspath(root)):
        text = text.replace(b"\\", b"/")
    if class_names is None:
        class_names = default_class_names(num_classes or int(lines.labels.max()) + 1)
    samples = Samples(os.fspath(root), text, lines.starts, lines.path_ends, lines.labels.astype(np.int32), class_names)
    refuse_missing_files(samples, lines.numbers, name, check_files)
    if not allow_empty_classes:
        advice = "Add images, lower num_classes, or set data.allow_empty_classes=true."
        if lines.labels.min() > 0:
            advice += f" Labels count from 0, and these begin with {lines.labels.min()}."
        require_samples_in_every_class(samples, name, advice)
    return samples


def _is_of_windows(text: bytes, lines: "_Lines", root: str) -> bool:
    """Whether backslashes stand between directories: the first path with one is a file only with slashes instead."""
    line = np.searchsorted(lines.starts, text.index(b"\\"), side="right") - 1
    path, directory = text[lines.starts[line] : lines.path_ends[line]], os.fsencode(root)
    as_it_is, with_slashes = (os.path.join(directory, one) for one in (path, path.replace(b"\\", b"/")))
    return not os.path.exists(as_it_is) and os.path.exists(with_slashes)


def parse_list(text: bytes, name: str) -> tuple[list[bytes], list[int]]:
    """Paths and labels of the lines of a short list.

    Raises:
        UserError: lines of it are wrong; the message calls the list ``name``.
    """
    lines = _checked_lines(text, None, name)
    paths = [text[start:end] for start, end in zip(lines.starts, lines.path_ends, strict=True)]
    return paths, lines.labels.tolist()


class _Lines(NamedTuple):
    """The non-blank lines of a list; positions are offsets into its bytes."""

    numbers: np.ndarray  # from 1
    starts: np.ndarray
    path_ends: np.ndarray
    ends: np.ndarray
    labels: np.ndarray  # -1 where the line has no path or no label


def read_list_bytes(list_file: str | os.PathLike, name: str) -> bytes:
    """The content of a list, which messages call ``name``.

    Raises:
        UserError: it cannot be read, is too large, or is UTF-16.
    """
    try:
        text = read_bytes(list_file, LIST_BYTES)
    except OSError as error:
        raise UserError(f"Cannot read the list {name}: {error.strerror or error}.") from error
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"The list {name} is UTF-16. Save it as UTF-8.")
    if text.startswith(b"PK\3\4"):
        raise UserError(f"{name} is a workbook or another packed file, no text. Save it as CSV in UTF-8.")
    return text


def _parse(text: np.ndarray, first: int) -> _Lines:
    newlines = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate([np.array([first]), newlines + 1])
    ends = np.concatenate([newlines, np.array([len(text)])])
    del newlines
    _trim_left(text, starts, ends)
    _trim_right(text, starts, ends)
    numbers = np.flatnonzero(starts < ends)
    starts, ends = starts[numbers], ends[numbers]
    labels, label_starts = _labels(text, starts, ends)
    path_ends = label_starts
    _trim_right(text, starts, path_ends)
    labels[path_ends <= starts] = -1
    return _Lines(numbers + 1, starts, path_ends, ends, labels)


def _trim_left(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Move ``starts`` right over blanks, in place."""
    active = np.flatnonzero(starts < ends)
    while len(active):
        active = active[IS_BLANK[text[starts[active]]]]
        starts[active] += 1
        active = active[starts[active] < ends[active]]


def _trim_right(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Move ``ends`` left over blanks, in place."""
    active = np.flatnonzero(starts < ends)
    while len(active):
        active = active[IS_BLANK[text[ends[active] - 1]]]
        ends[active] -= 1
        active = active[starts[active] < ends[active]]


def _labels(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and position of the digits at the end of each line; value -1 where no blank precedes them."""
    labels = np.zeros(len(ends), np.int64)
    label_starts = ends.copy()
    active = np.arange(len(ends))
    for power in range(LABEL_DIGITS):
        digits = text[label_starts[active] - 1] - np.uint8(ord("0"))  # anything else wraps above 9
        is_digit = digits < 10
        active, digits = active[is_digit], digits[is_digit]
        labels[active] += digits.astype(np.int64) * 10**power
        label_starts[active] -= 1
        active = active[label_starts[active] > starts[active]]
    bad = (label_starts == ends) | (label_starts == starts)
    bad[~bad] = ~IS_BLANK[text[label_starts[~bad] - 1]]
    labels[bad] = -1
    return labels, label_starts


def _checked_lines(
    text: bytes, num_classes: int | None, name: str, on_wrong_line: Callable[[int, str], None] | None = None
) -> _Lines:
    """The lines of a list that are right; raises for the others, or reports them."""
    lines = _parse(np.frombuffer(text, np.uint8), first=3 if text.startswith(b"\xef\xbb\xbf") else 0)
    wrong = (lines.labels < 0) | (lines.labels >= (num_classes or MOST_CLASSES))
    count = np.count_nonzero(wrong)
    if count:
        faults = (
            (int(lines.numbers[i]), _what_is_wrong(text[lines.starts[i] : lines.ends[i]], num_classes))
            for i in np.flatnonzero(wrong)
        )
        if on_wrong_line is None:
            messages = [f"line {number}: {fault}" for number, fault in islice(faults, SHOWN)]
            raise UserError(
                f"{count:,} of {len(wrong):,} lines of the list {name} are wrong:\n"
                f"{bullet_list(messages, count)}\n"
                "Each line is 'path label', the label a whole number from 0. With commas between them, or classes by "
                "name, it is a table: <name>.csv, whose first line is image,label."
            )
        for number, fault in faults:
            on_wrong_line(number, fault)
        lines = _Lines(*(values[~wrong] for values in lines))
    if not len(lines.labels):
        raise UserError(f"The list {name} has no lines{' that are right' if count else ''}. Each is 'path label'.")
    return lines


def _what_is_wrong(line: bytes, num_classes: int | None) -> str:
    path, label = _split(line)
    shown = printable(line if len(line) <= 80 else line[:77] + b"...")
    if not path:
        return f"no label after the path: '{shown}'"
    try:
        value = int(label)
    except ValueError:
        return f"the label '{printable(label[:40])}' is not a whole number: '{shown}'"
    if num_classes is None and value < 0:
        return f"the label {value} is below 0: '{shown}'"
    if num_classes is None:
        return f"the label {value} is no class number (set data.num_classes if there are so many): '{shown}'"
    return f"the label {value} is outside 0 to {num_classes - 1} ({num_classes} classes): '{shown}'"


def _split(line: bytes) -> tuple[bytes, bytes]:
    parts = line.rsplit(None, 1)
    return (parts[0], parts[1]) if len(parts) == 2 else (b"", line)


def refuse_missing_files(samples: Samples, line_numbers: np.ndarray, name: str, check_files: str) -> None:
    """Refuse a list whose files are not there.

    Args:
        check_files: see ``read_list``.

    Raises:
        UserError: naming the first lines.
    """
    if check_files == "auto":
        check_files = "all" if len(samples) <= CHECK_ALL_UP_TO else "sample"
    if check_files == "none":
        return
    count = len(samples) if check_files == "all" else min(SAMPLE_SIZE, len(samples))
    checked = np.linspace(0, len(samples) - 1, count).astype(np.int64)
    missing = [i for i in checked if not os.path.isfile(samples.path(i))]
    if missing:
        lines = [
            f"line {line_numbers[i]}: {printable(samples.path(i))}{advice_on_form(samples.path(i))}"
            for i in missing[:SHOWN]
        ]
        advice = "Paths in the list are relative to data.root; is it right?"
        if any("\r" in samples.path(i) for i in missing[:SHOWN]):
            advice = "Its lines end as those of old Macs (CR): save it with line breaks of today (LF)."
        if OF_WINDOWS.match(samples.relative_path(missing[0])):
            advice = "These paths begin with a drive of Windows: write them relative to data.root."
        raise UserError(
            f"{len(missing):,} of {count:,} files checked of the list {name} do not exist:\n"
            f"{bullet_list(lines, len(missing))}\n{advice}"
        )
