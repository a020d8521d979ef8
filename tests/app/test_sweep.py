"""The leaderboard of a sweep: who is first, what the columns are, what a failed job leaves."""

import csv
import json

from omegaconf import OmegaConf

from imgcls.app.sweep import Leaderboard


def job(directory, number, overrides, best):
    """A job as Hydra tells of it, which wrote what it reached unless it failed."""
    output = directory / f"job-{number}"
    output.mkdir()
    if best is not None:
        (output / "summary.json").write_text(json.dumps({"best": best}))
    told = {"job": {"num": number}, "runtime": {"output_dir": str(output)}, "overrides": {"task": overrides}}
    return OmegaConf.create({"hydra": told})


def end(directory, board, monitor="top1"):
    board.on_multirun_end(
        OmegaConf.create({"trainer": {"monitor": monitor}, "hydra": {"sweep": {"dir": str(directory)}}})
    )
    return list(csv.DictReader((directory / "leaderboard.csv").read_text().splitlines()))


def test_the_best_is_first_and_a_failed_job_last(tmp_path, capsys):
    board = Leaderboard()
    board.on_job_end(
        job(tmp_path, 0, ["optimizer.lr=0.1", "+model.args.dropout=0.2"], {"top1": 0.25, "loss": 2.0}), None
    )
    board.on_job_end(job(tmp_path, 1, ["optimizer.lr=9"], None), None)
    board.on_job_end(job(tmp_path, 2, ["optimizer.lr=0.2"], {"top1": 0.75, "loss": 1.0}), None)
    assert end(tmp_path, board) == [
        {"job": "2", "status": "done", "optimizer.lr": "0.2", "top1": "0.75", "loss": "1.0", "model.args.dropout": ""},
        {
            "job": "0",
            "status": "done",
            "optimizer.lr": "0.1",
            "top1": "0.25",
            "loss": "2.0",
            "model.args.dropout": "0.2",
        },
        {"job": "1", "status": "failed", "optimizer.lr": "9", "top1": "", "loss": "", "model.args.dropout": ""},
    ]
    assert f"best: job 2, top1 0.7500, in {tmp_path / 'job-2'}" in capsys.readouterr().out


def test_a_value_may_hold_an_equals_sign(tmp_path):
    board = Leaderboard()
    board.on_job_end(job(tmp_path, 0, ["data.root=a=b"], {"top1": 0.5}), None)
    assert end(tmp_path, board)[0]["data.root"] == "a=b"


def test_what_is_the_same_everywhere_is_not_shown(tmp_path, capsys):
    board = Leaderboard()
    for number, value in enumerate((0.5, 0.6)):
        board.on_job_end(job(tmp_path, number, ["model=resnet18", f"trainer.seed={number}"], {"top1": value}), None)
    end(tmp_path, board)
    shown = capsys.readouterr().out
    assert "trainer.seed" in shown
    assert "resnet18" not in shown


def test_when_nothing_was_reached_nothing_is_best(tmp_path, capsys):
    board = Leaderboard()
    board.on_job_end(job(tmp_path, 0, ["optimizer.lr=9"], None), None)
    assert [row["status"] for row in end(tmp_path, board)] == ["failed"]
    assert "best:" not in capsys.readouterr().out


def test_a_job_is_announced_by_what_it_changes(tmp_path, capsys):
    config = job(tmp_path, 3, ["optimizer.lr=0.1", "model=resnet18"], None)
    Leaderboard().on_job_start(config)
    assert capsys.readouterr().out.strip() == "job 3: optimizer.lr=0.1 model=resnet18"
    del config.hydra.job["num"]  # of a single run
    Leaderboard().on_job_start(config)
    assert capsys.readouterr().out == ""
