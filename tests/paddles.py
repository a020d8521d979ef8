"""Which Paddle these tests run on, where it matters to one."""

from imgcls.machine.installation import PADDLE_3, require_line

ON_PADDLE_3 = require_line() is PADDLE_3
