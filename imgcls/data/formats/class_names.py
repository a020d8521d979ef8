"""Class names: the class-map file and the names used when there is none."""

from pathlib import Path

from imgcls.errors import UserError

IMAGENET_CLASS_MAP = Path(__file__).parents[2] / "assets" / "imagenet_labels.txt"


def default_class_names(num_classes: int) -> tuple[str, ...]:
    """ImageNet's names for 1000 classes, otherwise the numbers."""
    if num_classes == 1000:
        return read_class_map(IMAGENET_CLASS_MAP)
    return tuple(str(label) for label in range(num_classes))


def read_class_map(path: str | Path) -> tuple[str, ...]:
    """Class names from a file of lines ``index name[, other name]``, in order of the index.

    A blank or a tab stands between the two; a UTF-8 byte-order mark and Windows line ends are fine.
    Blank lines are ignored; the lines may come in any order but every index from 0 up is there once.

    Raises:
        UserError: file missing or not UTF-8, or a line that is wrong (named by its number).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"Cannot read the class map {path}: {error.strerror}. Set data.class_map.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8. Save the class map as UTF-8.") from error

    names: dict[int, str] = {}
    first_seen: dict[int, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        index_text, name = (*line.split(None, 1), "")[:2]
        if not index_text.isdecimal() or not name.strip():
            raise UserError(f"{path}, line {number}: expected 'index name', found {line.strip()[:60]!r}.")
        index = int(index_text)
        if index in names:
            raise UserError(f"{path}, line {number}: index {index} was given before, in line {first_seen[index]}.")
        names[index], first_seen[index] = name.strip(), number
    if not names:
        raise UserError(f"The class map {path} is empty. Each line is 'index name'.")
    missing = next((index for index in range(len(names)) if index not in names), None)
    if missing is not None:
        raise UserError(
            f"{path}: index {missing} is missing; {len(names):,} lines must hold the indices 0 to {len(names) - 1}."
        )
    return tuple(names[index] for index in range(len(names)))
