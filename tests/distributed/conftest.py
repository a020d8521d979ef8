"""Two processes on the CPU: the smallest run of the real program, started and watched as a user would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

TINY = (
    "model=mobilenetv1_x0_25",
    "transform.size=32",
    "data=synthetic",
    "data.num_classes=5",
    "data.train_size=44",
    "data.val_size=21",
    "trainer.batch_size=8",
    "trainer.eval_batch_size=8",
    "trainer.epochs=2",
    "trainer.num_workers=0",
    "trainer.log_every=1",
    "trainer.gpus=0",
    "run.name=tiny",
)


@pytest.fixture
def start(tmp_path):
    """Start ``python -m <program> <arguments>`` in ``tmp_path``; it is killed if the test leaves it running."""
    started: list[subprocess.Popen] = []

    def start_program(*arguments: str, program: str = "imgcls.train", **variables: str) -> subprocess.Popen:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PADDLE_")}
        path = os.pathsep.join((str(ROOT), str(tmp_path)))
        process = subprocess.Popen(
            [sys.executable, "-m", program, *map(str, arguments)],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_program
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
