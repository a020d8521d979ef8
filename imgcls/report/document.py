"""An HTML document without a script, that loads nothing from anywhere."""

import base64
import hashlib
import html


def document(title: str, style: str, body: str) -> str:
    """In ASCII; no style runs but the one given.

    Args:
        title: any text.
        style: CSS.
        body: markup, in which texts have been through ``text``.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    whole = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{text(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{style}</style>{body}</html>"
    )
    return whole.encode("ascii", "xmlcharrefreplace").decode("ascii")


def text(value: str) -> str:
    """Any text as markup that shows it."""
    return html.escape(value.encode("utf-8", "backslashreplace").decode("utf-8"))


def source(content: bytes, kind: str) -> str:
    """An image file for the ``src`` of an ``img``.

    Args:
        kind: ``jpeg`` or ``png``.
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
