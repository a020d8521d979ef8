"""The age of a process against a clock held beside it."""

import subprocess
import sys
import time

from imgcls.callbacks.start_up import process_age


def test_age_of_a_process_that_was_just_started():
    before = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = time.monotonic()
        time.sleep(0.3)
        age = process_age(process.pid)
        now = time.monotonic()
        process.communicate(b"\n")
    assert now - started - 0.02 <= age <= now - before + 0.02  # the system counts in hundredths


def test_a_process_that_is_not_there():
    assert process_age(2**22 + 1) is None
