"""Progress bars: on a terminal and in a notebook, nowhere else."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(iterable: Iterable | None = None, **options: Any) -> "tqdm":
    """A bar of tqdm that leaves nothing behind: the notebook's own in a notebook, as wide as the terminal elsewhere."""
    notebook = _in_notebook()
    if notebook:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm
    tqdm.monitor_interval = 0  # no thread: data workers are forked, and would have copies of the locks it holds
    shown = notebook or (sys.stderr is not None and sys.stderr.isatty())
    return tqdm(iterable, leave=False, dynamic_ncols=True, miniters=1, disable=not shown, **options)


class WithBar:
    """Something to go through, its attributes its own, that shows a bar meanwhile."""

    def __init__(self, iterable: Any, **options: Any):
        self._iterable = iterable
        self._options = options

    def __iter__(self) -> Iterator:
        with progress_bar(self._iterable, **self._options) as bar:
            yield from bar

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterable, name)


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this process; IPython in a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
