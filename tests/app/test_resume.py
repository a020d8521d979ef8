"""What makes a configuration another run, and what does not."""

import pytest
import yaml
from omegaconf import OmegaConf

from imgcls.app.resume import COUNTS, config_hash, require_same_run, resume_command
from imgcls.errors import UserError

CONFIG = {
    "run": {"name": "first", "root": "outputs"},
    "model": {"name": "resnet50", "pretrained": None},
    "data": {"root": "photos", "val_list": None},
    "optimizer": {"lr": 0.1, "weight_decay": {"factor": 1e-4}},
    "trainer": {"epochs": 10, "seed": 1, "nodes": 1, "node_rank": 0, "master": None, "num_workers": 2},
}
CLASSES = "cat\ndog\n"


def changed(key, value):
    config = OmegaConf.create(CONFIG)
    OmegaConf.update(config, key, value, force_add=True)
    return config


def texts(config, classes=CLASSES):
    return {"config.yaml": OmegaConf.to_yaml(config), "classes.txt": classes}


@pytest.fixture
def checkpoint(tmp_path):
    for name, content in texts(OmegaConf.create(CONFIG)).items():
        (tmp_path / name).write_text(content)
    return tmp_path


HOW_IT_IS_CARRIED_OUT = {
    "run.name": "second",
    "data.root": "/elsewhere",
    "model.pretrained": "weights.pdparams",
    "trainer.epochs": 20,
    "trainer.num_workers": 0,
    "trainer.nodes": 2,
    "trainer.node_rank": 1,
    "trainer.master": "here:1",
}


@pytest.mark.parametrize("key", HOW_IT_IS_CARRIED_OUT)
def test_how_a_run_is_carried_out_may_change(key, checkpoint):
    require_same_run(checkpoint, texts(changed(key, HOW_IT_IS_CARRIED_OUT[key])))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimizer.lr", 0.2, "optimizer.lr: was 0.1, is 0.2"),
        ("optimizer.weight_decay.factor", 0.0, "optimizer.weight_decay.factor: was 0.0001, is 0.0"),
        ("optimizer.momentum", 0.9, "optimizer.momentum: was None, is 0.9"),
        ("trainer.seed", 2, "trainer.seed: was 1, is 2"),
        ("data.val_list", "val.txt", "data.val_list: was None, is val.txt"),
        ("model.name", "resnet18", "model.name: was resnet50, is resnet18"),
    ],
)
def test_what_is_trained_may_not(key, value, message, checkpoint):
    with pytest.raises(UserError) as refusal:
        require_same_run(checkpoint, texts(changed(key, value)))
    assert f"has changed: {message}. " in str(refusal.value)
    assert str(checkpoint) in str(refusal.value)


def test_lists_may_lie_elsewhere_where_the_samples_are_known(checkpoint):
    config = changed("data.val_list", "moved/val.txt")
    with pytest.raises(UserError, match=r"data\.val_list: was None, is moved/val\.txt"):
        require_same_run(checkpoint, texts(config))
    (checkpoint / COUNTS).write_text("{}")
    require_same_run(checkpoint, texts(config))


@pytest.mark.parametrize(
    ("imports", "root", "words"),
    [
        ([], "outputs", "python -m imgcls.train 'run.name=宠物 1' trainer.resume=auto"),
        (
            ["mine"],
            "el se",
            "python -m imgcls.train 'imports=[mine]' 'run.root=el se' 'run.name=宠物 1' trainer.resume=auto",
        ),
    ],
)
def test_what_is_typed_to_go_on(imports, root, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.create({"imports": imports, "trainer": {"nodes": 1}})
    assert resume_command(config, tmp_path / root / "宠物 1") == words


def test_every_change_is_named_the_classes_last(checkpoint):
    config = OmegaConf.merge(changed("trainer.seed", 2), {"optimizer": {"lr": 0.2}})
    with pytest.raises(UserError, match=r"optimizer\.lr: .*; trainer\.seed: .*; the class names of the data"):
        require_same_run(checkpoint, texts(config, "dog\ncat\n"))


def test_the_fingerprint_is_that_of_what_is_trained():
    """The same on every machine of a run, under any name; everything else counts."""
    whole = config_hash(OmegaConf.create(CONFIG))
    assert len(whole) == 12
    assert whole == config_hash(OmegaConf.create(yaml.safe_load(yaml.safe_dump(CONFIG))))
    for key in ("run.name", "run.root", "trainer.nodes", "trainer.node_rank", "trainer.master"):
        assert config_hash(changed(key, "x")) == whole, key
    for key in ("trainer.epochs", "optimizer.weight_decay.factor", "model.name", "trainer.new"):
        assert config_hash(changed(key, "x")) != whole, key
