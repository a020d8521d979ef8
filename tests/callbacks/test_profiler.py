"""What a profile holds, and how long the run is."""

import json

import paddle
from test_augmentation import CLASSES, SIZE, make_loader, preprocess

from imgcls.callbacks.profiler import Profiler
from imgcls.engine.trainer import Trainer


def trained(profiler: Profiler, epochs: int = 5) -> Trainer:
    """Three updates an epoch."""
    network = paddle.nn.Sequential(
        paddle.nn.Conv2D(3, 4, 3), paddle.nn.Flatten(), paddle.nn.Linear(4 * (SIZE - 2) ** 2, CLASSES)
    )
    trainer = Trainer(network, preprocess)
    trainer.prepare(paddle.optimizer.SGD(0.01, parameters=network.parameters()))
    trainer.fit(make_loader(), epochs, [profiler])
    return trainer


def events(directory) -> list[str]:
    return [event.get("name", "") for event in json.loads((directory / "trace.json").read_text())["traceEvents"]]


def test_a_window_of_updates_is_recorded_and_the_run_ends(tmp_path):
    assert trained(Profiler(tmp_path / "profile", start=2, steps=3)).progress.step == 5
    names = events(tmp_path / "profile")
    assert len({name for name in names if name.startswith("ProfileStep")}) == 3
    assert len([name for name in names if name.startswith("conv2d dygraph")]) == 3
    table = (tmp_path / "profile" / "summary.txt").read_text()
    assert "Overview Summary" in table
    assert "conv2d" in table


def test_from_the_first_update(tmp_path):
    assert trained(Profiler(tmp_path / "profile", start=0, steps=1)).progress.step == 1
    assert len({name for name in events(tmp_path / "profile") if name.startswith("ProfileStep")}) == 1


def test_other_ranks_stop_at_the_same_update_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trained(Profiler(None, start=2, steps=3)).progress.step == 5
    assert not list(tmp_path.iterdir())


def test_a_run_that_ends_within_the_window_leaves_what_there_is(tmp_path):
    assert trained(Profiler(tmp_path / "profile", start=2, steps=30), epochs=1).progress.step == 3
    assert len([name for name in events(tmp_path / "profile") if name.startswith("conv2d dygraph")]) == 1


def test_a_run_that_ends_before_the_window_says_so(tmp_path, caplog):
    trained(Profiler(tmp_path / "profile", start=10, steps=5), epochs=1)
    assert "Nothing was profiled: the run had 3 updates, and trainer.profiler.start=10." in caplog.text
    assert not (tmp_path / "profile").exists()
