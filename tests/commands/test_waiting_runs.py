"""Runs that look at their own figures: early stopping, the plateau schedule, averages as the best, the rate finder."""

import json

import pytest
from tiny_run import TINY, assert_same_end, finish, last, rows, starter

from imgcls.run.checkpoint import read_manifest

NEVER_BETTER = ("trainer.epochs=6", "trainer.monitor=loss", "trainer.keep_checkpoints=9")
"""At a rate that learns nothing the loss moves by rounding alone, and by less than ``min_delta``."""
STOPS = (
    *(*TINY, *NEVER_BETTER, "optimizer.lr=1e-9", "callbacks.early_stopping=on"),
    *("callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=5.0"),
)
DROPS = (
    *(*TINY, "trainer.epochs=5", "trainer.monitor=loss", "trainer.keep_checkpoints=9", "lr_schedule=plateau"),
    *("lr_schedule.patience=1", "lr_schedule.min_delta=50.0", "lr_schedule.final_lr=2e-5"),
)


def test_a_run_ends_early_and_goes_on_with_more_patience(tmp_path):
    run = tmp_path / "outputs" / "tiny"
    with starter(tmp_path) as start:
        output = finish(start(*STOPS))
        assert "loss has not been better than" in output
        assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]
        assert last(run).name.startswith("epoch-0003")
        output = finish(start("run.name=tiny", "trainer.resume=auto"))
        assert "Nothing is left to do, the run has ended: loss has not been better" in output
        assert len(rows(run)) == 3
        finish(start("run.name=tiny", "trainer.resume=auto", "callbacks.early_stopping.patience=4"))
        assert len(rows(run)) == 5


def test_the_rate_drops_where_nothing_gets_better(tmp_path):
    with starter(tmp_path) as start:
        finish(start(*DROPS))
    rates = [float(row["lr"]) for row in rows(tmp_path / "outputs" / "tiny")]
    assert rates == pytest.approx([3e-3, 3e-4, 3e-5, 2e-5, 2e-5])


@pytest.mark.full
def test_a_run_resumed_within_an_epoch_drops_alike(tmp_path):
    with starter(tmp_path) as start:
        finish(start(*DROPS, "run.name=whole"))
        finish(start(*DROPS, "trainer.max_steps=16"))  # within the third epoch
        finish(start("run.name=tiny", "trainer.resume=auto", "trainer.max_steps=null"))
    whole, resumed = ([float(row["lr"]) for row in rows(tmp_path / "outputs" / name)] for name in ("whole", "tiny"))
    assert resumed[-2:] == pytest.approx(whole[-2:])


@pytest.mark.full
def test_a_resumed_plateau_has_the_same_bits(tmp_path):
    with starter(tmp_path) as start:
        finish(start(*DROPS, "run.name=whole"))
        finish(start(*DROPS, "trainer.epochs=3"))
        finish(start("run.name=tiny", "trainer.resume=auto", "trainer.epochs=5"))
    assert_same_end(tmp_path / "outputs" / "whole", tmp_path / "outputs" / "tiny")


def test_waiting_without_evaluations_is_refused(ask, tmp_path):
    for wrong in ("lr_schedule=plateau", "callbacks.early_stopping.enabled=true"):
        answer = ask("train", *TINY, wrong, "trainer.eval_every=0", cwd=tmp_path)
        assert answer.returncode == 2
        assert "waits for a better trainer.monitor, and trainer.eval_every=0 evaluates nothing" in answer.stderr


def test_the_averages_are_used_where_they_were_judged(tmp_path):
    with starter(tmp_path) as start:
        finish(start(*TINY, "callbacks.ema=on", "trainer.monitor=loss_ema", "trainer.epochs=1"))
        best = tmp_path / "outputs" / "tiny" / "checkpoints" / "best"
        assert "ema.pdparams" in read_manifest(best)
        reached = json.loads((tmp_path / "outputs" / "tiny" / "summary.json").read_text())["best"]
        output = finish(start("outputs/tiny", "run.name=judged", program="imgcls.eval"))
        assert "the averaged weights, by which the run was judged" in output
        finish(start("outputs/tiny", "eval.weights=network", "run.name=own", program="imgcls.eval"))
    for name, metric, weights in (("judged", "loss_ema", "ema"), ("own", "loss", "network")):
        summary = json.loads((tmp_path / "outputs" / name / "summary.json").read_text())
        assert summary["weights"] == weights
        assert summary["loss"] == pytest.approx(reached[metric], rel=1e-5)


def test_a_learning_rate_is_suggested(ask, tmp_path):
    with starter(tmp_path) as start:
        whole = ("trainer.batch_size=44", "optimizer.scale_lr=true")  # all pictures an update: a curve without noise
        search = (*TINY, *whole, "lr_find.steps=40", "lr_find.end_lr=10", "run.name=found")
        output = finish(start(*search, program="imgcls.lr_find"))
    assert "imgcls.lr_find works in one process" in ask("lr_find", *TINY, "trainer.processes=2", cwd=tmp_path).stderr
    found = tmp_path / "outputs" / "found"
    assert (found / "lr_find.png").stat().st_size > 10_000
    table = (found / "lr_find.csv").read_text(encoding="utf-8-sig").splitlines()
    assert table[0].split(",")[:2] == ["lr", "loss"]
    assert 10 < len(table) <= 41
    assert not (found / "checkpoints").exists()
    assert "optimizer.lr=" in output.split("suggestion, where the loss falls most steeply: ")[1]
