"""Pictures with any number of classes, from the list to the service: one run, and what is done with it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from locations import ROOT
from PIL import Image
from test_service import serve
from tiny_run import SMALLEST, assert_same_end, finish, rows, starter

import imgcls

NAMES = ("红", "green", "blue")
RUN = (
    *("data=list", "data.root=photos", "data.train_list=train.csv", "data.val_list=val.csv", "data.multi_label=true"),
    *(*SMALLEST, "transform.size=32", "trainer.batch_size=8", "trainer.epochs=2"),
    *("trainer.num_workers=0", "trainer.gpus=0", "loss=bce", "trainer.monitor=mAP", "optimizer.lr=0.05"),
    *("trainer.metrics=[micro_f1,ap_红]", "callbacks.mixup=on", "callbacks.label_smoothing=on", "run.name=tags"),
)


def picture(path, tags, seed):
    """A square for each tag, in its colour."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (40, 40, 3), np.uint8)
    for tag in tags:
        top, left = rng.integers(0, 24, 2)
        image[top : top + 16, left : left + 16, tag] = 255
    Image.fromarray(image).save(path)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tags")
    (directory / "photos").mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 28), ("val", 12)):
        with (directory / "photos" / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["path", *NAMES])
            for number in range(count):
                tags = np.flatnonzero(rng.random(3) < 0.5).tolist()
                picture(directory / "photos" / f"{split} ({number}).png", tags, [count, number])
                table.writerow([f"{split} ({number}).png", *(int(tag in tags) for tag in range(3))])
    with starter(directory) as start:
        finish(start(*RUN))
        finish(start("outputs/tags", "export.dir=served", "export.input=uint8", program="imgcls.export"))
    return directory


def test_a_resumed_run_has_the_same_bits(origin, tmp_path):
    (tmp_path / "photos").symlink_to(origin / "photos")
    with starter(tmp_path) as start:
        finish(start(*RUN, "trainer.max_steps=6", "trainer.save_every_steps=2", "trainer.keep_checkpoints=9"))
        finish(start("run.name=tags", "trainer.resume=auto", "trainer.max_steps=null", "trainer.num_workers=2"))
    assert_same_end(origin / "outputs" / "tags", tmp_path / "outputs" / "tags")
    thresholds = [run / "outputs" / "tags" / "checkpoints" / "last" / "thresholds.json" for run in (origin, tmp_path)]
    assert thresholds[0].read_text() == thresholds[1].read_text()


@pytest.mark.full
def test_two_processes_evaluate_as_one(origin, tmp_path):
    """The same network: at such a rate nothing is learned, since on few small pictures rounding grows with learning."""
    (tmp_path / "photos").symlink_to(origin / "photos")
    still = ("optimizer.lr=1e-9", "trainer.sync_bn=true", "trainer.epochs=1")
    with starter(tmp_path) as start:
        for name, processes in (("one", 1), ("two", 2)):
            finish(start(*RUN, *still, f"trainer.processes={processes}", f"run.name={name}"), timeout=240)
    (one,), (two,) = (rows(tmp_path / "outputs" / name) for name in ("one", "two"))
    assert float(two["val_loss"]) == pytest.approx(float(one["val_loss"]), rel=1e-3)
    assert float(two["val_mAP"]) == pytest.approx(float(one["val_mAP"]), abs=0.05)


def test_an_evaluation_has_the_figures_of_the_run(origin):
    with starter(origin) as start:
        finish(start("outputs/tags", "run.name=judged", "eval.report=true", program="imgcls.eval"))
    judged = origin / "outputs" / "judged"
    summary = json.loads((judged / "summary.json").read_text())
    best = json.loads((origin / "outputs" / "tags" / "summary.json").read_text())["best"]
    for name in ("loss", "mAP", "micro_f1"):
        assert summary[name] == pytest.approx(best[name], rel=1e-5), name
    with (judged / "per_class.csv").open(newline="", encoding="utf-8") as file:
        classes = list(csv.DictReader(file))
    assert [row["name"] for row in classes] == list(NAMES)
    assert float(classes[0]["average_precision"]) == pytest.approx(best["ap_红"], rel=1e-5)
    tuned = json.loads((origin / "outputs" / "tags" / "checkpoints" / "best" / "thresholds.json").read_text())
    assert [float(row["threshold"]) for row in classes] == pytest.approx(tuned["network"])
    page = (judged / "report.html").read_text("ascii")
    assert "<script" not in page
    assert page.count("<tr>") == 1 + len(NAMES)
    with (judged / "per_image.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 12


def test_programs_and_python_give_the_same_tags(origin):
    """The export in ``imgcls.predict``, its tables, and the network from Python."""
    photo = origin / "photos" / "val (3).png"
    asked = (f"predict.input='{photo}'", "predict.source=served", "run.name=p")
    with starter(origin) as start:
        output = finish(start(*asked, "predict.sort_to=sorted", program="imgcls.predict"), status=2)
        assert "predict.sort_to is for models of one class a picture" in output
        finish(start(*asked, "predict.format=csv", program="imgcls.predict"))
    record = json.loads((origin / "outputs" / "p" / "predictions.jsonl").read_text(encoding="utf-8"))
    contract = yaml.safe_load((origin / "served" / "inference.yaml").read_text(encoding="utf-8"))
    assert (contract["format"], contract["activation"], contract["output"]) == (2, "sigmoid", "probabilities")
    expected = {answer["name"]: answer["score"] for answer in record["top"]}
    levels = dict(zip(contract["class_names"], contract["thresholds"], strict=True))
    tags = [name for name, score in expected.items() if score >= levels[name]]
    assert [tag["name"] for tag in record["tags"]] == tags
    assert (origin / "outputs" / "p" / "predictions.csv").read_text(encoding="utf-8-sig").startswith("path,tags,class")
    prediction = imgcls.load_predictor(origin / "outputs" / "tags").predict(photo)
    assert [answer.name for answer in prediction.tags] == tags
    assert {answer.name: answer.score for answer in prediction.top} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("client", ["jit_client", pytest.param("inference_client", marks=pytest.mark.full)])
def test_clients_give_the_same_tags(origin, client):
    photo = origin / "photos" / "val (3).png"
    words = [sys.executable, ROOT / "scripts" / "clients" / f"{client}.py", origin / "served", photo]
    told = json.loads(subprocess.run(words, capture_output=True, check=True, text=True, encoding="utf-8").stdout)
    assert_same_tags(told, imgcls.load_predictor(origin / "outputs" / "tags").predict(photo))


@pytest.mark.full
def test_the_service_gives_the_same_tags(origin, tmp_path):
    photo = origin / "photos" / "val (3).png"
    with serve(origin / "served", tmp_path / "log") as service:
        (told,) = service.predict(photo.read_bytes()).json()["predictions"]
    assert_same_tags(told, imgcls.load_predictor(origin / "outputs" / "tags").predict(photo))


def assert_same_tags(told, prediction):
    assert [answer["name"] for answer in told["tags"]] == [answer.name for answer in prediction.tags]
    expected = {answer.name: answer.score for answer in prediction.top}
    assert {answer["name"]: answer["score"] for answer in told["top"]} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("loss=cross_entropy",), "loss=cross_entropy is for one class a picture. Add loss=bce or loss=asymmetric"),
        (("trainer.monitor=top1",), "no top-k accuracy; add trainer.monitor=mAP. There are: loss, mAP"),
        (("data.sampler=balanced",), "data.sampler=balanced is for one class a picture"),
        (("data=synthetic",), "data.multi_label=true is for data=folder, data=list, data=sample"),
        (("data.multi_label=false", "trainer.monitor=loss"), "loss=bce is for pictures with any number of classes"),
    ],
)
def test_what_does_not_go_together_is_refused(origin, words, message, ask):
    given = {word.partition("=")[0] for word in words}
    kept = [word for word in RUN if word.partition("=")[0] not in given]
    answer = ask("train", *kept, *words, "run.name=wrong", "trainer.metrics=[]", cwd=origin)
    assert answer.returncode == 2
    assert message in answer.stderr
