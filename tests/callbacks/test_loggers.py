"""Weights & Biases, MLflow and VisualDL without a network: what their own readers find afterwards."""

import sys
from pathlib import Path

import paddle
import pytest
from event_file import read_events
from PIL import Image
from test_augmentation import CLASSES, make_loader, preprocess

from imgcls.app.loggers import LOGGERS, attach_report, missing
from imgcls.callbacks.logger import Logger, known_as
from imgcls.engine.trainer import Progress, Trainer
from imgcls.errors import UserError

CONFIG = {"trainer": {"epochs": 2, "topk": [1, 5]}, "model": {"name": "net", "pretrained": None}}
ABOUT = "paddlepaddle 2.6.2; commit abc"


@pytest.fixture
def run(tmp_path):
    directory = tmp_path / "我的 runs" / "first"
    directory.mkdir(parents=True)
    Image.new("RGB", (40, 30), (255, 0, 0)).save(directory / "curves.png")
    return directory


def train(logger, epochs=2, progress=None):
    """Three updates an epoch."""
    paddle.seed(0)
    network = paddle.nn.Sequential(paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten(), paddle.nn.Linear(3, CLASSES))
    trainer = Trainer(network, preprocess)
    trainer.prepare(paddle.optimizer.SGD(0.01, parameters=network.parameters()))
    trainer.progress = progress or Progress()
    trainer.metrics = {"top1": 0.25, "f1_chat (noir) 猫": 0.5}
    trainer.fit(make_loader(), epochs, [logger])
    return trainer


def test_mlflow_has_figures_parameters_and_pictures(run, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    from imgcls.callbacks.mlflow_logger import MLflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trainer = train(MLflow(run, every=2, project="pets", about=ABOUT, config=CONFIG))
    client = MlflowClient(tracking_uri=(run.parent / "mlruns").as_uri())
    name = known_as(run, "mlflow")

    def history(figure):
        return {one.step: one.value for one in client.get_metric_history(name, figure)}

    assert list(history("update/loss")) == [2, 4, 6]
    assert history("update/loss")[6] == pytest.approx(float(trainer.last_loss))
    assert history("epoch/val_top1") == {3: 0.25, 6: 0.25}
    assert history("epoch/val_f1_chat _noir_ 猫") == {3: 0.5, 6: 0.5}
    found = client.get_run(name)
    assert found.info.status == "FINISHED"
    assert found.data.params["trainer.topk"] == "[1, 5]"
    assert found.data.tags["system"] == ABOUT
    assert [one.path for one in client.list_artifacts(name, "pictures")] == ["pictures/curves.png"]
    train(MLflow(run, every=1, project="pets", config=CONFIG), epochs=3, progress=Progress(epoch=2, batch=0, step=6))
    assert known_as(run, "mlflow") == name
    assert list(history("update/loss")) == [2, 4, 6, 7, 8, 9]
    (experiment,) = [one for one in client.search_experiments() if one.name == "pets"]
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_wandb_keeps_figures_and_pictures_offline(run, monkeypatch):
    pytest.importorskip("wandb")
    from imgcls.callbacks.wandb_logger import WandB

    monkeypatch.setenv("WANDB_MODE", "offline")
    trainer = train(WandB(run, every=2, project="pets", about=ABOUT, config=CONFIG))
    name = known_as(run, "wandb")
    (file,) = run.glob(f"wandb/offline-run-*/run-{name}.wandb")
    rows = wandb_rows(file)
    losses = {row["step"]: row["update/loss"] for row in rows if "update/loss" in row}
    assert list(losses) == [2, 4, 6]
    assert losses[6] == pytest.approx(float(trainer.last_loss))
    assert {row["step"]: row["epoch/val_top1"] for row in rows if "epoch/val_top1" in row} == {3: 0.25, 6: 0.25}
    assert list(run.glob("wandb/offline-run-*/files/media/images/pictures/curves_*.png"))
    train(WandB(run, every=1, project="pets"), epochs=3, progress=Progress(epoch=2, batch=0, step=6))
    assert known_as(run, "wandb") == name
    assert len(list(run.glob(f"wandb/offline-run-*/run-{name}.wandb"))) == 2


def wandb_rows(file: Path):
    """The rows of a history, by the package's own reader."""
    import json

    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, rows = DataStore(), []
    store.open_for_scan(str(file))
    while (content := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        if record.HasField("history"):
            items = ((item.key or "/".join(item.nested_key), item.value_json) for item in record.history.item)
            rows.append({key: json.loads(value) for key, value in items})
    return rows


def test_visualdl_has_figures_and_pictures(run):
    visualdl = pytest.importorskip("visualdl")
    from imgcls.callbacks.event_files import VisualDL

    trainer = train(VisualDL(run, every=2, about=ABOUT))
    (file,) = run.glob("visualdl/*.log")
    reader = visualdl.LogReader(file_path=str(file))
    losses = {one.id: one.value for one in reader.get_data("scalar", "update/loss")}
    assert list(losses) == [2, 4, 6]
    assert losses[6] == pytest.approx(float(trainer.last_loss))
    assert [one.value for one in reader.get_data("scalar", "epoch/val_top1")] == [0.25, 0.25]
    assert len(reader.get_data("image", "pictures/curves")) == 1


@pytest.mark.parametrize("name", LOGGERS)
def test_without_its_package_a_logger_names_the_extra(name, tmp_path, monkeypatch):
    kind = LOGGERS[name]
    monkeypatch.setitem(sys.modules, kind.package, None)
    with pytest.raises(UserError, match=rf'pip install "imgcls\[{name}\]"'):
        getattr(__import__(f"imgcls.callbacks.{kind.module}", fromlist=[kind.name]), kind.name)(
            tmp_path, 1, **({"project": "pets"} if name in ("wandb", "mlflow") else {})
        )


def test_a_directory_of_a_packages_name_is_no_package(tmp_path, monkeypatch):
    monkeypatch.setitem(LOGGERS, "made_up", LOGGERS["wandb"]._replace(package="made_up_logger"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made_up_logger").mkdir()
    assert missing("made_up") == 'logger=made_up needs the package made_up_logger: pip install "imgcls[made_up]"'
    assert missing("csv") is None


def test_a_report_is_attached_to_the_run_that_was_evaluated(run, tmp_path, caplog):
    pytest.importorskip("tensorboardX")
    drawn = tmp_path / "confusion_matrix.png"
    Image.new("RGB", (40, 30), (0, 0, 255)).save(drawn)
    checkpoint = run / "checkpoints" / "epoch-0001"
    files = [drawn, tmp_path / "report.html"]
    attach_report(None, files)
    assert "what was evaluated is no run" in caplog.text
    (run / "config.yaml").write_text("logger: {name: csv}\ntrainer: {log_every: 1}\n")
    attach_report(checkpoint, files)
    assert "the run was logged to its own files alone" in caplog.text
    (run / "config.yaml").write_text("logger: {name: tensorboard}\ntrainer: {log_every: 1}\n")
    attach_report(checkpoint, files)
    tags = [value.tag for event in read_events(run / "tensorboard") for value in event.summary.value]
    assert tags == ["pictures/confusion_matrix"]


class Gone(Logger):
    """Writes to a service that goes away after ``adds`` notes."""

    def __init__(self, directory, adds):
        super().__init__(directory, every=1)
        self.adds, self.asked = adds, []

    def begin(self, step):
        self.asked.append("begin")

    def add(self, figures, step):
        self.asked.append("add")
        if self.asked.count("add") > self.adds:
            raise ConnectionError("the service is not there.\nMore of it.")

    def attach(self, files, step):
        self.asked.append("attach")

    def end(self, finished):
        self.asked.append(f"end {finished}")


def test_a_service_that_goes_away_does_not_end_the_run(run, caplog):
    gone = Gone(run, adds=4)
    trainer = train(gone)
    assert trainer.progress.step == 6
    assert gone.asked == ["begin", *["add"] * 5]
    assert caplog.text.count("logger=gone: the service is not there. The run goes on without it") == 1
    whole = Gone(run, adds=99)
    train(whole)
    assert whole.asked[-2:] == ["attach", "end True"]


def test_an_experiment_that_another_job_has_just_made_is_taken(run, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    from imgcls.callbacks.mlflow_logger import MLflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train(MLflow(run, every=9, project="pets"), epochs=1)
    second = run.with_name("second")
    second.mkdir()
    find, looks = mlflow.tracking.MlflowClient.get_experiment_by_name, []

    def look(client, name):
        looks.append(name)
        return None if len(looks) == 1 else find(client, name)  # it was made in between

    monkeypatch.setattr(mlflow.tracking.MlflowClient, "get_experiment_by_name", look)
    train(MLflow(second, every=9, project="pets"), epochs=1)
    client = mlflow.tracking.MlflowClient(tracking_uri=(run.parent / "mlruns").as_uri())
    assert len([one for one in client.search_experiments() if one.name == "pets"]) == 1
