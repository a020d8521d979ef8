"""Embeddings of any number of pictures on disk, row by row, and at the end as one ``.npz``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from imgcls.deploy.line_file import LineFile
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.npz import read_arrays
from imgcls.machine.reading import open_regular

FILE = "features.npz"
CHUNK = 4096
"""Rows copied at a time."""


class FeatureFile:
    """``features.npz``: ``paths`` ``[N]`` and ``features`` float32 ``[N, num_features]``.

    Until ``close`` they are in two files beside it that only grow: ``features.rows`` and
    ``features.paths.jsonl``.

    Args:
        resume: keep what is there, of an interrupted program or a finished one.
    """

    def __init__(self, directory: Path, resume: bool = False):
        self.path = directory / FILE
        rows = directory / "features.rows"
        resume = resume and (rows.exists() or self.path.exists())
        finished = resume and not rows.exists()
        self._paths = LineFile(directory / "features.paths.jsonl", resume and not finished)
        self._rows = rows.open("a+b" if resume else "w+b")
        if finished:
            self._take_apart()
        elif resume:
            self._match()

    def paths(self) -> Iterator[str]:
        """Pictures that are in it."""
        return (str(record.get("path")) for record in self._paths)

    def add(self, paths: Sequence[str], features: np.ndarray) -> None:
        """Append a row for each path."""
        for path, row in zip(paths, np.ascontiguousarray(features, np.float32), strict=True):
            self._rows.write(row.tobytes())
            self._rows.flush()  # before the line that says so
            self._paths.write({"path": path, "end": self._rows.tell()})

    def close(self) -> int:
        """Write the ``.npz``; gives the number of rows."""
        self._rows.close()
        paths = list(self.paths())
        self._paths.close()
        rows = Path(self._rows.name)
        if paths:
            features = np.memmap(rows, np.float32, "r").reshape(len(paths), -1)
            with atomic_write(self.path) as partial, partial.open("wb") as file:
                np.savez(file, paths=np.array(paths), features=features)
        rows.unlink()
        self._paths.path.unlink()
        return len(paths)

    def _match(self) -> None:
        """As many rows as paths, whichever the interruption cut off."""
        written = Path(self._rows.name).stat().st_size
        ends = [end for record in self._paths if isinstance(end := record.get("end"), int) and 0 <= end <= written]
        self._paths.keep(len(ends))
        self._rows.truncate(ends[-1] if ends else 0)

    def _take_apart(self) -> None:
        paths, features = read_features(self.path)
        for start in range(0, len(paths), CHUNK):
            self.add(paths[start : start + CHUNK], features[start : start + CHUNK])


def read_features(path: Path) -> tuple[list[str], np.ndarray]:
    """Paths and features ``[N, num_features]`` of a ``features.npz``.

    Raises:
        UserError: it is damaged.
    """
    try:
        with open_regular(path) as file:
            content = read_arrays(file, texts=True)
        paths, features = content["paths"].tolist(), content["features"]
        if content["paths"].shape != (len(paths),) or len(features) != len(paths) or features.ndim != 2:
            raise ValueError("its arrays do not belong together")
    except Exception as error:  # whatever zipfile, zlib and numpy make of a damaged one
        raise UserError(f"{path} is damaged: {error}. Predict again under another run.name.") from error
    return paths, features
