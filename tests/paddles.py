"""Which Paddle these tests run on, where it matters to one."""

from imgcls.deploy.contract import FILES
from imgcls.machine.installation import PADDLE_3, require_line

ON_PADDLE_3 = require_line() is PADDLE_3
PROGRAM, PARAMETERS = MODEL_FILES = FILES["pir" if ON_PADDLE_3 else "paddle"]
"""What an export is made of here."""
