"""Sweeps whose jobs run in other processes: the leaderboard says what each of them reached."""

import csv
import os
import pickle
import subprocess
import sys

import pytest
from locations import ROOT

from imgcls.app.program import _Job
from imgcls.models.registry import list_models

NETWORK = """
import os, signal
import paddle
from paddle import nn
import imgcls

class TinyNet(nn.Layer):
    def __init__(self, num_classes, dies=False):
        super().__init__()
        self.dies, self.head = dies, nn.Linear(3, num_classes)

    def forward(self, images):
        if self.dies and self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(paddle.mean(images, axis=[2, 3]))

imgcls.register_model("SweptNet", TinyNet, input_size=32)
"""

LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local",),
}


def sweep(directory, launcher, *overrides):
    (directory / "swept_networks.py").write_text(NETWORK)
    words = ("imports=swept_networks", "model=sweptnet", "debug=fast", "transform.size=32", "hydra.sweep.dir=swept")
    command = [sys.executable, "-m", "imgcls.train", "-m", *LAUNCHERS[launcher], *words, *overrides]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}", "COLUMNS": "200"}
    result = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=600)
    with (directory / "swept" / "leaderboard.csv").open() as file:
        return result, list(csv.DictReader(file))


def test_a_job_imports_what_it_needs_where_it_arrives(tmp_path, monkeypatch):
    (tmp_path / "arriving_networks.py").write_text(NETWORK.replace("SweptNet", "ArrivingNet"))
    monkeypatch.syspath_prepend(tmp_path)
    sent = pickle.dumps(_Job("train", print, ["arriving_networks"]))
    assert "arrivingnet" not in list_models()
    assert pickle.loads(sent).name == "train"
    assert "arrivingnet" in list_models()


@pytest.mark.full
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_jobs_of_other_processes_are_ranked(tmp_path, launcher):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    result, rows = sweep(tmp_path, launcher, "model.pretrained=null,missing.pdparams", "optimizer.lr=0.1,0.2")
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"]
    assert float(rows[0]["top1"]) >= float(rows[1]["top1"]) > 0
    assert result.returncode == 2
    assert "Failed jobs of this sweep: 2, 3" in result.stderr
    assert f"best: job {rows[0]['job']}, top1" in result.stdout


@pytest.mark.full
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_killed_job_leaves_a_leaderboard_of_the_others(tmp_path, launcher):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    result, rows = sweep(tmp_path, launcher, "+model.args.dies=true,false")
    assert "ended early" in {row["status"] for row in rows}
    assert result.returncode == 2
    assert "error: The process of a job ended early" in result.stderr
