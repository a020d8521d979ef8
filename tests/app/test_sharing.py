"""``trainer.processes=auto``: one for each core, as far as batch and memory go."""

import pytest
from omegaconf import OmegaConf

from imgcls.app.sharing import count_for, with_processes
from imgcls.machine import cpu, memory

GB = 1 << 30


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "cores", "free", "count"),
    [
        (16, 1, 2, None, 2),
        (16, 2, 4, 100 * GB, 2),  # no fewer than four images at once
        (18, 1, 4, 100 * GB, 3),  # equally many for each
        (17, 1, 4, 100 * GB, 1),
        (256, 1, 64, 100 * GB, 32),
        (256, 1, 64, 1 * GB, 1),
        (4, 1, 8, None, 1),
    ],
)
def test_how_many(batch_size, accumulate, cores, free, count):
    assert count_for(batch_size, accumulate, cores, free) == count


def configuration(**trainer):
    base = {"batch_size": 16, "accumulate": 1, "gpus": 0, "compile": False, "same_batch": None, "sync_bn": False}
    return OmegaConf.create({"trainer": {**base, "processes": "auto", **trainer}})


@pytest.mark.parametrize(
    ("trainer", "count", "said"),
    [
        ({}, 4, "statistics of the 4 pictures of each process"),
        ({"sync_bn": True}, 4, "4 processes, threads of each: 1"),
        ({"compile": "auto"}, 4, "4 processes"),
        ({"compile": "onednn", "sync_bn": True}, 1, "can be compiled on GPUs only (trainer.sync_bn)"),
        ({"compile": "auto", "sync_bn": True}, 4, "4 processes"),
        ({"gpus": 2}, 1, "one process, for each GPU gets one"),
        ({"batch_size": 3}, 1, "one process, of 4 threads"),
        ({"compile": True, "sync_bn": True}, 1, "can be compiled on GPUs only (trainer.sync_bn)"),
        ({"compile": True}, 4, "4 processes"),
    ],
)
def test_it_is_chosen_and_said(trainer, count, said, monkeypatch):
    monkeypatch.setattr(cpu, "usable_cores", lambda: 4)
    monkeypatch.setattr(memory, "available", lambda: 100 * GB)
    config = configuration(**trainer)
    result, remarks = with_processes(config)
    assert (result.trainer.processes, config.trainer.processes) == (count, "auto")
    assert said in " ".join(remarks)


def test_callbacks_that_are_objects_stay_in_this_process():
    result, remarks = with_processes(configuration(), has_objects=True)
    assert (result.trainer.processes, remarks) == (
        1,
        ["trainer.processes=auto: one process, for its callbacks are objects of one"],
    )


def test_a_number_stays():
    config = configuration(processes=3)
    assert with_processes(config) == (config, [])


@pytest.mark.parametrize(("value", "words"), [("0", "at least 1"), ("many", "a whole number or auto")])
def test_wrong_values(value, words, ask, tmp_path):
    result = ask("train", f"trainer.processes={value}", cwd=tmp_path)
    assert result.returncode == 2
    assert f"trainer.processes={value}: must be {words}." in result.stderr
