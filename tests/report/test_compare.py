"""``imgcls.compare``: runs side by side, from what they wrote into their directories."""

import csv
import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from locations import ROOT
from PIL import Image

from imgcls.callbacks.history import write_csv
from imgcls.report.compare import best_run, differences, read_runs, table

FIRST = "2026-01-01 10:00:00,000 INFO imgcls 2.0.0, paddlepaddle 2.6.2; Python 3.11; CPU; commit abc; config 123\n"


def make_run(path, accuracies=(), *, status="finished", losses=None, **settings):
    """A run's directory without its checkpoints."""
    path.mkdir(parents=True)
    config = {
        "run": {"name": path.name, "root": "outputs"},
        "model": {"name": settings.pop("model", "resnet18"), "mean": [0.5]},
        "optimizer": {"lr": settings.pop("lr", 0.1)},
        "trainer": {"batch_size": 16, "monitor": "top1", **settings},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    (path / "status.json").write_text(json.dumps({"status": status}))
    rows = [
        {
            "epoch": epoch,
            "lr": 0.1,
            "train_loss": 1 / epoch,
            "val_loss": loss,
            "val_top1": top1,
            "images_per_second": 40,
        }
        for epoch, (top1, loss) in enumerate(zip(accuracies, losses or accuracies, strict=True), start=1)
    ]
    if rows:
        write_csv(rows, path / "metrics.csv")
        (path / "train.log").write_text(
            f"{FIRST}2026-01-01 10:00:30,000 INFO epoch 1\n"
            f"{FIRST.replace('10:00:00', '12:00:00')}2026-01-01 12:01:00,000 INFO epoch 2\nTraceback\n"
        )
    return path


@pytest.fixture
def outputs(tmp_path):
    make_run(tmp_path / "outputs" / "宠物 (1)", [0.5, 0.8, 0.7], lr=0.1)
    make_run(tmp_path / "outputs" / "it's [b]", [0.6, 0.6], lr=0.01, epochs=2, status="preempted")
    make_run(tmp_path / "outputs" / "_new", status="running")
    (tmp_path / "outputs" / "evaluated").mkdir()
    return tmp_path / "outputs"


def refuse(message):
    raise AssertionError(message)


def test_what_each_reached(outputs):
    runs = read_runs(map(str, sorted(outputs.glob("[!e]*"))), refuse)
    header, rows = table(runs)
    found = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert found["宠物 (1)"] == {
        "run": "宠物 (1)",
        "status": "finished",
        "model": "resnet18",
        "lr": 0.1,
        "batch": 16,
        "top1": 0.8,
        "loss": 0.8,
        "best epoch": 2,
        "epochs": 3,
        "images/s": 40.0,
        "time": 90.0,  # of both processes, not the two hours between them
    }
    assert found["it's [b]"]["best epoch"] == 1  # the first of equals
    assert (found["_new"]["top1"], found["_new"]["epochs"], found["_new"]["time"]) == (None, 0, None)
    assert set(differences(runs)) == {"trainer.epochs"}
    assert best_run(runs).label == "宠物 (1)"


def test_a_loss_is_best_where_it_is_lowest(tmp_path):
    for name, losses in {"a": [3.0, 1.5, 2.0], "b": [1.0, 4.0, 4.0]}.items():
        make_run(tmp_path / name, [0.1, 0.2, 0.3], losses=losses, monitor="loss")
    runs = read_runs([str(tmp_path / "a"), str(tmp_path / "b")], refuse)
    assert [(run.best()["loss"], run.best()["epoch"]) for run in runs] == [(1.5, 2), (1.0, 1)]
    assert best_run(runs).label == "b"
    make_run(tmp_path / "c", [0.9])
    assert best_run(read_runs([str(tmp_path / name) for name in "abc"], refuse)) is None


def test_a_sweep_stands_for_its_jobs_and_nothing_is_there_twice(tmp_path):
    for sweep in ("one", "two"):
        for job in (0, 2, 10):
            make_run(tmp_path / sweep / f"job-{job}", [0.5])
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert [run.label for run in read_runs([one, f"{one}/job-2", f"{one}/."], refuse)] == ["job-0", "job-2", "job-10"]
    assert [run.label for run in read_runs([one, two], refuse)][2:4] == [f"{one}/job-10", f"{two}/job-0"]


def test_the_command(outputs, ask):
    words = sorted(f"outputs/{path.name}" for path in outputs.iterdir())
    said = ask("compare", *words, "run.name=compared", cwd=outputs.parent)
    assert said.returncode == 0, said.stderr
    assert "outputs/evaluated is no training run: left out" in said.stderr
    assert "best: 宠物 (1), top1 0.8000 in epoch 2\n" in said.stderr
    shown = [re.sub(" +", " ", line).strip() for line in said.stdout.splitlines()]
    assert "宠物 (1) finished 0.1 0.8 0.8 2 3 40 0:01:30" in shown
    with (outputs / "compared" / "compare.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"宠物 (1)", "it's [b]", "_new"}
    assert (rows["it's [b]"]["seconds"], rows["it's [b]"]["trainer.epochs"]) == ("90.0", "2")
    with Image.open(outputs / "compared" / "compare.png") as picture:
        assert picture.width > 1000


def test_runs_on_other_pictures_are_no_match(outputs, ask):
    with (outputs / "_new" / "config.yaml").open("a") as config:
        config.write("data:\n  root: elsewhere\n")
    said = ask("compare", "outputs/宠物 (1)", "outputs/_new", "run.name=compared", cwd=outputs.parent)
    assert "top1 0.8000 in epoch 2, though not all on the same pictures" in said.stderr


MISTAKES = {
    "nothing there": (["outputs/gone"], "outputs/gone: there is no such run"),
    "no run": (["outputs/evaluated"], "There is nothing to compare"),
    "no words": ([], "compare.runs is required"),
    "an empty list": (["compare.runs=[]"], "compare.runs=[]: must name at least one"),
    "another key": (["outputs/_new", "compare.run=x"], "There is no key 'run' in 'compare'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case, outputs, ask):
    words, expected = MISTAKES[case]
    said = ask("compare", *words, cwd=outputs.parent)
    assert said.returncode == 2
    assert expected in said.stderr
    assert sorted(path.name for path in outputs.iterdir()) == sorted(["宠物 (1)", "it's [b]", "_new", "evaluated"])


def test_a_damaged_run_is_named(outputs, ask):
    (outputs / "_new" / "config.yaml").write_text("model: [")
    said = ask("compare", "outputs/_new", cwd=outputs.parent)
    assert said.returncode == 2
    assert "outputs/_new: config.yaml or status.json is damaged" in said.stderr


def test_it_does_not_wait_for_paddle(outputs):
    program = "import sys, imgcls.compare; sys.exit = lambda _: print('paddle' in sys.modules); imgcls.compare.main()"
    command = [sys.executable, "-c", program, "outputs/_new"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(command, cwd=outputs.parent, env=environment, capture_output=True, text=True)
    assert said.stdout.endswith("False\n"), said
