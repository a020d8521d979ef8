"""The leaderboard of a sweep: who is first, what the columns are, what a failed job leaves."""

import csv
import json

import pytest
from omegaconf import OmegaConf

from imgcls.app.program import exit_status, failures
from imgcls.app.sweep import NOTES, Leaderboard
from imgcls.errors import UserError


@pytest.fixture(autouse=True)
def no_failures():
    failures.clear()
    yield
    failures.clear()


def job(directory, number, overrides, best):
    """A job as Hydra tells of it, which wrote what it reached unless it failed."""
    output = directory / f"job-{number}"
    output.mkdir(parents=True)
    if best is None:
        failures[number] = UserError("It failed.")
    else:
        (output / "summary.json").write_text(json.dumps({"best": best}))
    told = {"job": {"num": number}, "runtime": {"output_dir": str(output)}, "overrides": {"task": overrides}}
    told["sweep"] = {"dir": str(directory)}
    return OmegaConf.create({"hydra": told})


def end(directory, board, monitor="top1", mode="auto"):
    trainer = {"monitor": monitor, "monitor_mode": mode}
    board.on_multirun_end(OmegaConf.create({"trainer": trainer, "hydra": {"sweep": {"dir": str(directory)}}}))
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


def test_the_lowest_loss_is_first(tmp_path, capsys):
    def order(directory, *monitored):
        board = Leaderboard()
        for number, loss in enumerate((2.0, 0.5, float("nan"), 1.0)):
            config = job(tmp_path / directory, number, [f"trainer.seed={number}"], {"loss": loss, "top1": loss / 4})
            board.on_job_end(config, None)
        return [row["job"] for row in end(tmp_path / directory, board, *monitored)]

    assert order("a", "loss") == ["1", "3", "0", "2"]
    assert "best: job 1, loss 0.5000, the lowest, in" in capsys.readouterr().out
    assert order("b", "top1") == ["0", "3", "1", "2"]
    assert order("c", "loss", "max") == ["0", "3", "1", "2"]


def test_jobs_that_go_on_are_ranked_by_what_their_runs_had(tmp_path):
    board = Leaderboard()
    for number, loss in enumerate((2.0, 0.5)):
        config = job(tmp_path, number, ["trainer.resume=auto"], {"loss": loss, "top1": loss / 4})
        (tmp_path / f"job-{number}" / "config.yaml").write_text("trainer: {monitor: loss, monitor_mode: auto}")
        board.on_job_end(config, None)
    assert [row["job"] for row in end(tmp_path, board)] == ["1", "0"]


def test_what_an_older_run_left_is_not_what_a_job_reached(tmp_path):
    board, config = Leaderboard(), job(tmp_path, 0, ["optimizer.lr=9"], {"top1": 1.0})
    failures[0] = UserError("It failed.")
    board.on_job_end(config, None)
    (row,) = end(tmp_path, board)
    assert (row["status"], row.get("top1")) == ("failed", None)


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


def test_what_jobs_reached_is_known_wherever_they_ran(tmp_path, capsys):
    job_of = {number: job(tmp_path, number, [f"trainer.seed={number}"], {"top1": number / 4}) for number in range(4)}
    for number in (0, 1):  # each with a callback of its own, as after a way through a pipe
        Leaderboard().on_job_start(job_of[number])
        Leaderboard().on_job_end(job_of[number], None)
    Leaderboard().on_job_start(job_of[2])  # and killed
    failures[3] = UserError("It failed.")
    Leaderboard().on_job_end(job_of[3], None)
    failures.clear()  # of the other process
    rows = end(tmp_path, Leaderboard())
    assert [(row["job"], row["status"]) for row in rows] == [
        ("1", "done"),
        ("0", "done"),
        ("2", "ended early"),
        ("3", "failed"),
    ]
    assert {number: exit_status(error) for number, error in failures.items()} == {2: 1, 3: 2}
    assert not (tmp_path / NOTES).exists()


def test_a_new_sweep_forgets_the_jobs_of_one_that_was_killed(tmp_path):
    config = job(tmp_path, 0, ["trainer.seed=0"], {"top1": 0.5})
    Leaderboard().on_job_start(config)
    Leaderboard().on_multirun_start(config)
    assert end(tmp_path, Leaderboard()) == []


def test_folds_have_a_mean_and_a_deviation(tmp_path, capsys):
    tops = {"0.1": (0.5, 0.6, 0.7), "0.01": (0.8, 0.8, None)}
    number = 0
    for lr, values in tops.items():
        for fold, top1 in enumerate(values):
            overrides = ["data.folds=3", f"data.fold={fold}", f"optimizer.lr={lr}"]
            best = None if top1 is None else {"top1": top1, "epoch": fold}
            Leaderboard().on_job_end(job(tmp_path, number, overrides, best), None)
            number += 1
    end(tmp_path, Leaderboard())
    rows = list(csv.DictReader((tmp_path / "folds.csv").read_text().splitlines()))
    assert [(row["optimizer.lr"], row["folds"]) for row in rows] == [("0.01", "2"), ("0.1", "3")]
    assert [float(row["top1"]) for row in rows] == pytest.approx([0.8, 0.6])
    assert [float(row["top1_deviation"]) for row in rows] == pytest.approx([0.0, 0.1])
    assert "best: optimizer.lr=0.01, top1 0.8000 ± 0.0000 over 2 folds" in capsys.readouterr().out
    one = job(tmp_path / "one", 0, ["data.folds=3", "data.fold=2"], {"top1": 0.5})
    Leaderboard().on_job_end(one, None)
    end(tmp_path / "one", Leaderboard())
    assert "mean: top1 0.5000 over 1 fold\n" in capsys.readouterr().out


def test_why_a_job_elsewhere_failed_is_told_once_for_all_of_them(tmp_path, capsys):
    board = Leaderboard()
    for number, error in enumerate((UserError("No weights\x1b at a.pdparams."), UserError("B."), ValueError("a bug"))):
        config = job(tmp_path, number, [f"trainer.seed={number}"], None)
        failures[number] = error
        board.on_job_end(config, None)
    (tmp_path / NOTES / "3.json").write_text((tmp_path / NOTES / "1.json").read_text().replace('"job": 1', '"job": 3'))
    failures.clear()  # of the processes that had them
    rows = end(tmp_path, board)
    assert [row["status"] for row in rows] == ["failed"] * 4
    told = capsys.readouterr().err
    assert "job 0: No weights\\x1b at a.pdparams.\n" in told
    assert "job 1, 3: B.\n" in told
    assert "job 2: ValueError: a bug\n" in told
    assert [exit_status(failures[number]) for number in range(4)] == [2, 2, 1, 2]
