"""What ``int8_cases.py`` asks, in a process of its own: beside NNCF a later signal to the process is a crash."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_int8_in_a_process_of_its_own():
    pytest.importorskip("nncf")
    pytest.importorskip("openvino")
    cases = Path(__file__).with_name("int8_cases.py")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(cases)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cases.parents[2])
    assert result.returncode == 0, result.stdout
    assert "passed" in result.stdout
