"""What a drawing is of, above it and beside it: as long as a run's name may be, no letter of the title is cut."""

import textwrap
from typing import TYPE_CHECKING

from imgcls.machine.text import printable_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

LONGEST_LABEL = 40
"""Characters of a name beside a drawing."""

CHARACTERS = 12
"""In an inch, of the narrow letters that most are."""


def draw_title(figure: "Figure", text: str) -> int:
    """Write the text above a figure, in as many lines as its width needs; a constrained layout leaves room for them.

    Returns:
        The number of lines.
    """
    text = printable_text(text)  # a name on disk need not be characters
    title = figure.suptitle("", fontsize=11, parse_math=False)  # a dollar sign would begin a formula
    for width in range(int(CHARACTERS * figure.get_figwidth()), 0, -2):
        title.set_text("\n".join(textwrap.wrap(text, width)))
        if title.get_window_extent().width <= 0.96 * figure.bbox.width:
            break
    return title.get_text().count("\n") + 1


def shortened(label: str) -> str:
    """A name as it stands beside a drawing: one of any length leaves room for what is drawn."""
    label = printable_text(label)
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def plain(legend: "Legend") -> None:
    """Let a legend show names as they are: a dollar sign would begin a formula."""
    for text in legend.get_texts():
        text.set_parse_math(False)
