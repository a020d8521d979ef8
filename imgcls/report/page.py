"""The page of an evaluation: one HTML file that needs nothing beside it, and nothing from anywhere."""

import base64
import hashlib
import html
import json
from pathlib import Path
from string import Template
from typing import Any

PARTS = Path(__file__).parent / "html"
SCRIPTS = ("dom", "tooltip", "headline", "line_chart", "reliability", "confusion", "classes", "mistakes", "page")


def page(title: str, content: dict[str, Any]) -> str:
    """A document in ASCII.

    Names of classes and files cannot become markup: they travel as JSON without angle brackets and
    ampersands, the scripts hand them on as text only, and the document's policy lets no script or
    style run but those of this package, and nothing be loaded.

    Args:
        title: any text.
        content: what ``page_content`` gives.
    """
    style = (PARTS / "page.css").read_text("ascii")
    script = "\n".join((PARTS / f"{name}.js").read_text("ascii") for name in SCRIPTS)
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return Template((PARTS / "page.html").read_text("ascii")).substitute(
        title=html.escape(title).encode("ascii", "xmlcharrefreplace").decode("ascii"),
        policy=f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}",
        style=style,
        data=data,
        script=script,
    )


def _digest(text: str) -> str:
    """The source expression of a Content Security Policy that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
