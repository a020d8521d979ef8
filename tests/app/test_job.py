"""How many processes a configuration asks for, and what several machines must agree on."""

import pytest
from omegaconf import OmegaConf

from imgcls.app.job import job_of, run_job
from imgcls.errors import UserError

ONE = {"gpus": None, "processes": 1, "nodes": 1, "node_rank": 0, "master": None}


def settings(**values):
    return OmegaConf.create({**ONE, **values})


@pytest.mark.parametrize(
    ("values", "processes", "size", "ranks"),
    [
        ({}, 1, 1, [0]),
        ({"gpus": 0}, 1, 1, [0]),
        ({"gpus": 1}, 1, 1, [0]),
        ({"gpus": 4}, 4, 4, [0, 1, 2, 3]),
        ({"processes": 2}, 2, 2, [0, 1]),
        ({"gpus": 0, "processes": 3}, 3, 3, [0, 1, 2]),
        ({"gpus": 2, "nodes": 3, "node_rank": 1, "master": "here:1"}, 2, 6, [2, 3]),
    ],
)
def test_a_process_for_each_gpu_or_as_many_as_are_wanted(values, processes, size, ranks):
    job = job_of(settings(**values))
    assert (job.processes, job.size, list(job.ranks)) == (processes, size, ranks)


def test_several_machines_need_a_name_for_their_run(command_line, tmp_path):
    """Before a directory is made or a process started; a default name would differ between them."""
    command_line("trainer.nodes=2")
    config = OmegaConf.create({"trainer": {**ONE, "nodes": 2, "master": "here:1", "resume": None, "max_restarts": 0}})
    with pytest.raises(UserError, match=r"trainer\.nodes\) give run\.name"):
        run_job(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
