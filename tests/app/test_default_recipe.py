"""A training that is told nothing of how to train is the recipe that is best on the bundled photos."""

import pytest
from omegaconf import OmegaConf

import imgcls
from imgcls.app.composition import composed
from imgcls.app.default_recipe import is_told_nothing


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def configuration(*overrides: str, **sections) -> dict:
    with composed("train", overrides, sections) as (config, _):
        return {**OmegaConf.to_container(config), "run": None}


def test_a_bare_training_is_the_recipe():
    plain = configuration()
    assert plain == configuration("experiment=linear_probe")
    assert plain["probe"]["enabled"]
    assert configuration("trainer.seed=3", "trainer.num_workers=0", "run.name=a") == configuration(
        "experiment=linear_probe", "trainer.seed=3", "trainer.num_workers=0"
    )


@pytest.mark.parametrize(
    "wanted",
    [
        ("model=squeezenet1_1",),
        ("data=folder", "data.root=."),
        ("trainer.epochs=3",),
        ("optimizer.lr=0.01",),
        ("debug=fast",),
        ("callbacks.mixup=on",),
    ],
)
def test_a_command_that_says_how_stays_what_it_was(wanted):
    given = configuration(*wanted)
    assert not given["probe"]["enabled"]
    assert given == configuration("experiment=all_layers", *wanted)


def test_everything_is_trained_on_demand():
    given = configuration("experiment=all_layers")
    assert (given["probe"]["enabled"], given["trainer"]["epochs"], given["optimizer"]["lr"]) == (False, 10, 0.003)


def test_from_python_too():
    assert configuration(trainer={"seed": 1})["probe"]["enabled"]
    assert not configuration(trainer={"seed": 1, "epochs": 2})["probe"]["enabled"]
    assert not configuration(model="squeezenet1_1")["probe"]["enabled"]


@pytest.mark.parametrize(
    ("keys", "nothing"),
    [
        ([], True),
        (["run.name", "run.root", "trainer.seed", "callbacks.early_stopping.enabled", "logger"], True),
        (["trainer.profiler.enabled"], False),
        (["trainer.seed", "transform.size"], False),
        (["model.pretrained"], False),
    ],
)
def test_what_says_nothing_of_training(keys, nothing):
    assert is_told_nothing(keys) is nothing


def test_a_run_that_was_begun_otherwise_goes_on_as_it_was():
    small = ("experiment=all_layers", "transform.size=64", "trainer.max_steps=1", "trainer.eval_every=0")
    imgcls.train(*small, "trainer.num_workers=0", "trainer.batch_size=2", run="old")
    went_on = configuration("trainer.resume=auto", run={"name": "old"})
    assert not went_on["probe"]["enabled"]
    assert (went_on["transform"]["size"], went_on["optimizer"]["lr"]) == (64, 0.003)
    assert configuration("trainer.resume=auto", run={"name": "new"})["probe"]["enabled"]
