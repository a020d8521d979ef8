"""Which Paddle, numpy and protobuf go together; what is installed is told by the distributions' metadata."""

import subprocess
import sys

import pytest
from locations import ROOT

from imgcls.errors import UserError
from imgcls.machine import installation
from imgcls.machine.installation import LINES, PADDLE_2, PADDLE_3, numbers, require_line


@pytest.fixture
def installed(monkeypatch):
    """Make the metadata say that nothing but these distributions is installed."""

    def set_up(**versions: str) -> None:
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(installation, "version_of", known.get)

    return set_up


@pytest.mark.parametrize(
    ("version", "line"),
    [("2.6.2", PADDLE_2), ("2.6.1.post120", PADDLE_2), ("3.3.1", PADDLE_3), ("3.4.0rc1", PADDLE_3), ("3.10", PADDLE_3)],
)
def test_the_line_of_a_release(version, line, installed):
    installed(paddlepaddle=version)
    assert require_line() is line
    installed(paddlepaddle_gpu=version)
    assert require_line() is line


@pytest.mark.parametrize("version", ["2.5.2", "2.7.0", "3.0.0", "3.2.2", "4.0.0", "0.0.0"])
def test_releases_that_nobody_has_tried(version, installed):
    installed(paddlepaddle=version)
    with pytest.raises(UserError, match=rf"PaddlePaddle {version} is installed; .* 2\.6\.2 and for 3\.3\.1") as refusal:
        require_line()
    assert "imgcls[cpu3]" in str(refusal.value)
    assert "imgcls.doctor" in str(refusal.value)


def test_no_paddle(installed):
    installed(numpy="1.26.4")
    with pytest.raises(UserError, match="PaddlePaddle is not installed"):
        require_line()


@pytest.mark.parametrize(
    ("version", "parts"),
    [("3.3.1.post120", (3, 3, 1)), ("2.4.0rc1", (2, 4, 0)), ("2.6", (2, 6)), ("unknown", ())],
)
def test_numbers(version, parts):
    assert numbers(version) == parts


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.tried)
def test_what_is_too_new_beside_it(line, installed, monkeypatch):
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    below = ".".join(map(str, line.numpy_until))
    installed(paddlepaddle=line.tried, numpy=f"{below}.0" if "." in below else f"{below}.0.1", protobuf="4.25.8")
    with pytest.raises(UserError, match=rf'numpy {below}.* is too new: .*"numpy<{below}"'):
        installation.require_paddle()
    if line.protobuf_until:
        installed(paddlepaddle=line.tried, numpy="1.26.4", protobuf="5.29.0")
        with pytest.raises(UserError, match=r'protobuf 5\.29\.0 is too new: .*"protobuf<5"'):
            installation.require_paddle()


@pytest.mark.parametrize("in_program", [False, True])
def test_nothing_is_said_when_it_loads(in_program):
    """No warning of threads, of a compiler's cache or of a GPU that is not there.

    Garbage is collected as before, in a program but for what is there by then: who calls from Python has own objects.
    """
    program = f"""
import gc
from imgcls.machine import installation
installation.in_program = {in_program}
installation.require_paddle()
assert gc.isenabled()
assert (gc.get_freeze_count() > 0) == {in_program}
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
