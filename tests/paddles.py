"""Which Paddle these tests run on, where it matters to one, and where the other is."""

import os

from locations import ROOT

from imgcls.deploy.contract import FILES
from imgcls.machine.installation import PADDLE_3, require_line

ON_PADDLE_3 = require_line() is PADDLE_3
PROGRAM, PARAMETERS = MODEL_FILES = FILES["pir" if ON_PADDLE_3 else "paddle"]
"""What an export is made of here."""


def other_python() -> str | None:
    """An interpreter with it: ``$IMGCLS_OTHER_PYTHON``, or of the environment that ``scripts/test.sh`` makes for it."""
    beside = ROOT / (".venv" if ON_PADDLE_3 else ".venv3") / "bin" / "python"
    named = os.environ.get("IMGCLS_OTHER_PYTHON") or str(beside)
    return named if os.access(named, os.X_OK) else None
