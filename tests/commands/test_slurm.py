"""Sweeps and trainings as jobs of a real SLURM, in a directory of Chinese letters and blanks."""

import csv
import os
import subprocess
import sys

import pytest
from locations import ROOT
from slurm_cluster import cluster, is_installed
from test_launchers import NETWORK

from imgcls.machine.cpu import inherited_environment

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not is_installed(), reason="slurm-wlm and munge are not installed"),
]
TINY = ("imports=swept_networks", "model=sweptnet", "debug=fast", "transform.size=32")


@pytest.fixture(scope="module")
def slurm():
    with cluster() as environment:
        yield environment


@pytest.fixture
def run(slurm, tmp_path):
    directory = tmp_path / "我的 扫描 (1)"
    directory.mkdir()
    (directory / "swept_networks.py").write_text(NETWORK)
    path = os.pathsep.join((os.path.dirname(sys.executable), slurm["PATH"]))
    environment = {**inherited_environment(), **slurm, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}", "PATH": path}

    def command(*words):
        return subprocess.run(
            words, cwd=directory, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True, timeout=600
        )

    command.directory = directory
    return command


def test_jobs_of_a_cluster_are_ranked_and_what_failed_says_why(run):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=30", "hydra.launcher.cpus_per_task=1")
    words = (*TINY, "hydra.sweep.dir=swept", "model.pretrained=null,missing.pdparams", "optimizer.lr=0.1,0.2")
    result = run(sys.executable, "-m", "imgcls.train", "-m", *launcher, *words)
    with (run.directory / "swept" / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"], result.stderr
    assert float(rows[0]["top1"]) >= float(rows[1]["top1"]) > 0
    assert result.returncode == 2
    assert "keeps no accounts of its jobs" in result.stderr
    assert "job 2, 3: model.pretrained=missing.pdparams: There are no weights at missing.pdparams." in result.stderr
    assert "Failed jobs of this sweep: 2, 3" in result.stderr
    assert f"best: job {rows[0]['job']}, top1" in result.stdout
    for number in range(2):
        job = run.directory / "swept" / f"job-{number}"
        assert (job / "checkpoints" / "last" / "network.pdparams").is_file()
        assert "tuning on (OMP_NUM_THREADS=1 " in (job / "train.log").read_text()  # its share of the node's cores


def test_the_job_script_trains_over_the_tasks_of_a_job_as_over_processes(run):
    options = ("--wait", "--ntasks=2", "--ntasks-per-node=2", "--cpus-per-task=1")
    job = run("sbatch", *options, str(ROOT / "scripts/slurm_job.sh"), *TINY, "run.name=two machines", "trainer.gpus=0")
    (output,) = run.directory.glob("slurm-*.out")
    assert job.returncode == 0, output.read_text()
    run(sys.executable, "-m", "imgcls.train", *TINY, "run.name=here", "trainer.gpus=0", "trainer.processes=2")
    weights = [
        run.directory / "outputs" / name / "checkpoints/last/network.pdparams" for name in ("two machines", "here")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
