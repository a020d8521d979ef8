"""A run that was stopped under one line of Paddle goes on under the other, to the bits of one that never was."""

import os
import shutil
import subprocess

import pytest
from locations import ROOT
from paddles import ON_PADDLE_3, other_python
from tiny_run import TINY, assert_same_end, rows

OTHER = other_python()
STOPPED = "epoch-0001-step-00000008"
"""Two updates into the second epoch."""
RUN = (
    *(argument for argument in TINY if not argument.startswith("model")),
    *("model=mobilenetv4_conv_small_050", "model.args.dropout=0.2", "model.args.drop_path=0.2"),
    *("optimizer=adamw", "optimizer.layer_decay=0.8", "lr_schedule=cosine", "lr_schedule.warmup_epochs=1"),
    *("callbacks.ema.enabled=true", "callbacks.mixup.enabled=true", "callbacks.random_erasing.enabled=true"),
    *("trainer.save_every_steps=8", "trainer.keep_checkpoints=9"),
)
"""With random numbers of Paddle's and of ours, batch norms, averages, and an optimizer that has a state."""


@pytest.mark.skipif(OTHER is None, reason="IMGCLS_OTHER_PYTHON names no interpreter with the other Paddle")
def test_a_run_goes_on_under_the_other_paddle(run_program, tmp_path):
    def elsewhere(*arguments):
        command = [OTHER, "-m", "imgcls.train", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr

    runs = tmp_path / "outputs"
    elsewhere(*RUN, "run.name=whole")
    shutil.copytree(runs / "whole", runs / "stopped", symlinks=True)
    checkpoints = runs / "stopped" / "checkpoints"
    for checkpoint in checkpoints.glob("epoch-*"):
        if checkpoint.name > STOPPED:
            shutil.rmtree(checkpoint)
    (checkpoints / "last").unlink()
    (checkpoints / "last").symlink_to(STOPPED)

    said = run_program("train", "run.name=stopped", "trainer.resume=auto", cwd=tmp_path)
    log = (runs / "stopped" / "train.log").read_text(encoding="utf-8")
    assert "after 8 updates" in said.stdout + said.stderr
    versions = ("paddlepaddle 2.6", "paddlepaddle 3.")
    assert [log.index(version) for version in versions] == sorted(map(log.index, versions), reverse=not ON_PADDLE_3)
    assert [row["step"] for row in rows(runs / "whole")] == ["6", "12"]
    assert_same_end(runs / "whole", runs / "stopped")
