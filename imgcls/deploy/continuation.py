"""What an interrupted prediction has left to do, and whether it may be gone on with."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from imgcls.errors import UserError, listed
from imgcls.machine.reading import read_json
from imgcls.machine.text import write_json

FILE = "settings.json"


def agree(directory: Path, settings: Mapping[str, Any], resume: bool) -> bool:
    """Write down what the answers depend on, or compare it with what an earlier program wrote.

    Returns:
        Whether there is something to go on with.

    Raises:
        UserError: ``resume``, and the earlier program's settings were others.
    """
    file = directory / FILE
    found = resume and file.is_file()
    if found:
        try:
            before = read_json(file)
            different = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        except (UserError, TypeError, AttributeError) as error:
            raise UserError(f"{file} is damaged. Predict again under another run.name.") from error
        if different:
            changes = listed(f"{key} was {before.get(key)}, now {settings.get(key)}" for key in different)
            raise UserError(
                f"{directory} cannot be gone on with: {changes}. Give the same settings, or another run.name."
            )
    write_json(file, settings)
    return found


def remaining(pictures: Iterable[str], done: Iterable[str]) -> list[str]:
    """The pictures that are not ``done``; one that is given twice has to be done twice."""
    left = Counter(done)
    result = []
    for picture in pictures:
        if left[picture] > 0:
            left[picture] -= 1
        else:
            result.append(picture)
    return result
