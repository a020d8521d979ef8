"""How a process ends where Paddle's threads are still at work."""

import ctypes
import subprocess
import sys

import pytest
from locations import ROOT


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "on_exit"), reason="a function of glibc")
def test_what_a_library_does_at_the_end_is_left_out():
    """Its status and all that was printed arrive, by Python or by C; without it the process ends with SIGABRT."""
    code = (
        "import ctypes, sys; from imgcls.machine.processes import end_before_destructors as end; "
        "libc = ctypes.CDLL(None); libc.on_exit(libc.abort, None); {}; libc.printf(b'by C '); print('by Python'); "
        "sys.exit(3)"
    )
    ends = [
        subprocess.run([sys.executable, "-c", code.format(how)], cwd=ROOT, capture_output=True, text=True)
        for how in ("end()", "end")
    ]
    assert ends[0].returncode == 3
    assert {*ends[0].stdout.split()} == {"by", "C", "Python"}
    assert ends[1].returncode == -6
