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


def test_other_threads_want_another_process():
    assert programs.fits(dict(os.environ))
    assert not programs.fits({**os.environ, "OMP_NUM_THREADS": "77"})
