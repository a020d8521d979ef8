"""A contact sheet: pictures in rows, each with lines of text below."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imgcls.report.fonts import font_file

SMALLEST_TILE = 160
GAP = 12
FONT_SIZE = 14
LINE_HEIGHT = 18
PAPER = "#e8e8e8"  # neither a white nor a black picture loses its edge
INK = "black"


def contact_sheet(pictures: Sequence[np.ndarray], captions: Sequence[Sequence[str]]) -> Image.Image:
    """Lay pictures out from left to right and top to bottom, in about as many rows as columns.

    Pictures are shown pixel by pixel; small ones enlarged by a whole factor, so that their captions fit.

    Args:
        pictures: uint8 ``[H, W, 3]``, all of one size.
        captions: lines of text for each; a line that is too long is cut.
    """
    height, width = pictures[0].shape[:2]
    factor = math.ceil(SMALLEST_TILE / width)
    height, width = height * factor, width * factor
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    across = width + GAP
    down = height + LINE_HEIGHT * max(map(len, captions)) + GAP

    sheet = Image.new("RGB", (GAP + columns * across, GAP + rows * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, lines) in enumerate(zip(pictures, captions, strict=True)):
        left, top = GAP + number % columns * across, GAP + number // columns * down
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST), (left, top))
        for line_number, line in enumerate(lines):
            place = (left, top + height + 2 + line_number * LINE_HEIGHT)
            font = _font(line)
            draw.text(place, _cut(line, font, width), INK, font)
    return sheet


@cache
def _font(text: str) -> ImageFont.FreeTypeFont:
    """One that has the text; else matplotlib's own, which has more scripts than Pillow's."""
    return ImageFont.truetype(font_file(text) or font_file(""), FONT_SIZE)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """As much of the text as fits, with an ellipsis if that is not all."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
