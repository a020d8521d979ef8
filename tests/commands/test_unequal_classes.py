"""Runs that make up for classes of unequal size, judged by class."""

import json

import pytest
from tiny_run import TINY, assert_same_end, finish, rows, starter

BALANCED = (*TINY, "loss=focal", "data.sampler=balanced", "callbacks.label_smoothing=on", "callbacks.mixup=on")
BY_CLASS = ("trainer.monitor=macro_f1", "trainer.metrics=[f1_3,balanced_accuracy]")
KEEP = ("trainer.save_every_steps=4", "trainer.keep_checkpoints=9")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("balanced")
    with starter(directory) as start:
        finish(start(*BALANCED, *BY_CLASS))
    return directory / "outputs" / "tiny"


def test_a_run_is_judged_by_class_and_goes_on_to_the_same_bits(whole, tmp_path):
    history = rows(whole)
    best = json.loads((whole / "summary.json").read_text())["best"]
    assert best["macro_f1"] == max(float(row["val_macro_f1"]) for row in history)
    assert {"val_f1_3", "val_balanced_accuracy"} <= history[0].keys()
    with starter(tmp_path) as start:
        finish(start(*BALANCED, *BY_CLASS, "trainer.max_steps=8", *KEEP))
        finish(start("run.name=tiny", "trainer.resume=auto", "trainer.max_steps=null", "trainer.num_workers=2"))
    assert_same_end(whole, tmp_path / "outputs" / "tiny")


def test_what_cannot_be_together_is_refused(ask, tmp_path):
    answer = ask("train", *BALANCED, "loss.class_weights=balanced", cwd=tmp_path)
    assert "data.sampler=balanced and loss.class_weights=balanced: each makes up for unequal classes" in answer.stderr
    answer = ask("train", *TINY, "trainer.metrics=[macro]", cwd=tmp_path)
    assert "trainer.metrics=macro: there is no such figure. Did you mean 'macro_f1'?" in answer.stderr
    with starter(tmp_path) as start:
        output = finish(start(*TINY, "loss.class_weights=[1,2]"), status=2)
        assert "loss.class_weights has 2 numbers, and there are 5 classes" in output
        output = finish(start(*TINY, "trainer.monitor=f1_cat"), status=2)
        assert "trainer.monitor=f1_cat: there is no class 'cat'" in output


@pytest.mark.full
def test_two_processes_have_the_figures_of_one(whole, tmp_path):
    with starter(tmp_path) as start:
        finish(start(*BALANCED, *BY_CLASS, "trainer.processes=2"), timeout=240)
    for one, two in zip(rows(whole), rows(tmp_path / "outputs" / "tiny"), strict=True):
        for name, value in one.items():
            assert float(two[name]) == pytest.approx(float(value), abs=0.05), name
