"""A program that is forked from a process with Paddle is the program that a user starts."""

import os
import signal
import subprocess
import sys

import pytest
from locations import ROOT
from warm_start import programs

CASES = {
    "a mistake": ("imgcls.train", ["trainer.epochs=0"]),
    "a result": ("imgcls.train", ["--cfg", "job", "model=ResNet50_vd"]),
    "a bug": ("where.it.fails", []),
    "another end": ("killed", []),
}


@pytest.mark.parametrize("case", CASES)
def test_it_says_and_leaves_the_same(case, tmp_path):
    module, arguments = CASES[case]
    (tmp_path / "killed.py").write_text("import os, sys; print(sys.argv[1:], __name__); os.kill(os.getpid(), 9)")
    failing = tmp_path / "where" / "it" / "fails.py"
    failing.parent.mkdir(parents=True)
    failing.write_text("import sys; print(sys.stdin.read(), __spec__.name, sys.path[0]); sys.stdout.flush(); 1 / 0")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    real = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    forked = programs.start(module, *arguments, cwd=tmp_path, environment=environment)
    output, errors = forked.communicate(60)
    assert (forked.returncode, output) == (real.returncode, real.stdout)
    assert errors.splitlines()[-1:] == real.stderr.splitlines()[-1:]


def test_signals_reach_it(tmp_path):
    (tmp_path / "waits.py").write_text("import time\ntime.sleep(60)")
    process = programs.start("waits", cwd=tmp_path, environment=dict(os.environ), joined=True)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM


CHILD = """
import os, sys
parent, descriptor = map(int, sys.argv[1:])
assert os.getppid() == parent
assert os.getsid(0) == os.getpid()
assert "paddle" in sys.modules
os.write(descriptor, sys.stdin.read().encode())
print("out", os.environ["WORD"], __name__, flush=True)
os.kill(os.getpid(), 9) if os.environ["WORD"] == "killed" else sys.exit(7)
"""
STARTS = """
import os, subprocess, sys
received, given = os.pipe()
for word in ("one", "killed"):
    child = subprocess.Popen(
        [sys.executable, "-m", "child", str(os.getpid()), str(given)],
        env={**os.environ, "WORD": word}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True, pass_fds=(given,),
    )
    assert child.poll() is None
    print(child.communicate(word)[0].strip(), child.returncode, os.read(received, 99).decode())
"""


def test_what_it_starts_is_forked_as_its_child(tmp_path):
    (tmp_path / "starts.py").write_text(STARTS)
    (tmp_path / "child.py").write_text(CHILD)
    process = programs.start("starts", "a.processes=1", cwd=tmp_path, environment=dict(os.environ))
    output, errors = process.communicate(60)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines() == ["out one __main__ 7 one", "out killed __main__ -9 killed"]


def test_other_threads_want_another_process():
    assert programs.fits(dict(os.environ))
    assert not programs.fits({**os.environ, "OMP_NUM_THREADS": "77"})
