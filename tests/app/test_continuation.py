"""What a run that goes on takes from its checkpoint, and what the command keeps; composed as by Python and Hydra."""

import json

import pytest
from omegaconf import OmegaConf

from imgcls.app.composition import composed
from imgcls.errors import UserError
from imgcls.machine.files import sha256

RUN = ("run.name='宠物 1'", "data=list", "data.root=.", "optimizer=rmsprop", "optimizer.rho=0.7", "transform.size=96")


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Write a checkpoint's configuration and its manifest, where ``compose`` looks for it."""
    monkeypatch.chdir(tmp_path)
    for name in ("train_list.txt", "val_list.txt", "mine.txt"):
        (tmp_path / name).touch()  # looked for, not read

    def save(*overrides, step=5, **changes):
        with composed("train", overrides or RUN) as (config, directory):
            for key, value in changes.items():
                OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
            checkpoint = directory / "checkpoints" / f"epoch-0001-step-{step:08d}"
            checkpoint.mkdir(parents=True)
            (checkpoint / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
            manifest = {"format": 1, "sha256": {"config.yaml": sha256(checkpoint / "config.yaml"), "weights": "gone"}}
            (checkpoint / "manifest.json").write_text(json.dumps(manifest))
        return OmegaConf.to_container(config), checkpoint

    return save


def compose(*overrides, **sections):
    with composed("train", overrides, {"run": {"name": "宠物 1"}, **sections}) as (config, _):
        return OmegaConf.to_container(config)


def test_only_the_name_is_needed(saved):
    before, _ = saved()
    now = compose("trainer.resume=auto")
    assert before["optimizer"]["rho"] == 0.7
    before["trainer"]["resume"] = "auto"
    assert now == before


def test_a_run_without_a_checkpoint_yet_is_begun_as_it_was(saved):
    before, checkpoint = saved()
    run = checkpoint.parents[1]
    (checkpoint / "config.yaml").rename(run / "config.yaml")
    now = compose("trainer.resume=auto", "trainer.num_workers=1")
    assert (now["optimizer"], now["data"], now["trainer"]["num_workers"]) == (before["optimizer"], before["data"], 1)
    told = compose("trainer.resume=auto", "optimizer.lr=0.5")  # who says how to train says all of it
    assert (told["optimizer"]["name"], told["data"]["name"]) == ("momentum", "sample")


def test_weights_that_the_run_began_with_may_be_gone(saved):
    saved(model__pretrained="gone.pdparams")
    assert compose("trainer.resume=auto")["model"]["pretrained"] == "gone.pdparams"


def test_the_newest_configuration_that_is_whole_counts(saved):
    saved(*RUN, "trainer.epochs=20")
    _, newer = saved(*RUN, "trainer.epochs=30", step=9)
    assert compose("trainer.resume=auto")["trainer"]["epochs"] == 30
    (newer / "config.yaml").write_text("trainer: {epochs: 40}")
    assert compose("trainer.resume=auto")["trainer"]["epochs"] == 20


def test_what_the_command_says_again_stays(saved):
    saved()
    now = compose("trainer.resume=auto", "trainer.epochs=33", "data.train_list=mine.txt", optimizer={"lr": 0.25})
    assert (now["trainer"]["epochs"], now["data"]["train_list"]) == (33, "mine.txt")
    assert now["data"]["name"] == "list"
    assert (now["optimizer"]["name"], now["optimizer"]["rho"], now["optimizer"]["lr"]) == ("rmsprop", 0.7, 0.25)


def test_a_group_that_is_given_again_replaces_the_group(saved):
    saved()
    assert compose("trainer.resume=auto", "optimizer=rmsprop")["optimizer"]["rho"] == 0.9


def test_a_recipe_that_is_given_again_says_what_it_sets(saved):
    recipe = ("experiment=resnet50_vd", "data.root=.", "transform.size=96")
    before, _ = saved("run.name='宠物 1'", *recipe, "trainer.epochs=7")
    now = compose("trainer.resume=auto", "experiment=resnet50_vd")
    assert now["transform"] == before["transform"]
    assert now["data"] == before["data"]
    assert now["trainer"]["epochs"] == 200


def test_once_and_for_one_machine(saved):
    saved(*RUN, "trainer.profiler.enabled=true", "trainer.nodes=2", "trainer.node_rank=1", "trainer.master=here:1")
    now = compose("trainer.resume=auto")
    assert (now["trainer"]["profiler"]["enabled"], now["trainer"]["node_rank"]) == (False, 0)
    assert now["trainer"]["nodes"] == 2


def test_a_checkpoint_by_its_path(saved):
    before, checkpoint = saved()
    with composed("train", ["run.name=other", f"trainer.resume='{checkpoint}'"]) as (config, directory):
        assert (config.run.name, directory.name) == ("other", "other")
        assert config.optimizer == before["optimizer"]


def test_keys_that_have_come_and_gone_since(saved):
    _, checkpoint = saved(trainer__gone=7)
    file = checkpoint / "config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("  monitor_mode: auto\n", ""), encoding="utf-8")
    now = compose(f"trainer.resume='{checkpoint}'")
    assert now["trainer"]["monitor_mode"] == "auto"
    assert "gone" not in now["trainer"]


def test_nothing_is_imported_because_a_file_says_so(saved):
    _, checkpoint = saved(
        imports=["code/nets.py"],
        optimizer={"name": "own", "_target_": "os.system", "args": {"command": "true"}},
        callbacks__extra=[{"_target_": "mine.Stop"}],
    )
    with pytest.raises(UserError) as refusal:
        compose("trainer.resume=auto")
    assert f"The run in {checkpoint} used modules of its owner's: code/nets.py, os, mine." in str(refusal.value)
    assert "add 'imports=[code/nets.py,os,mine]'" in str(refusal.value)
    now = compose("trainer.resume=auto", "imports=[elsewhere/nets.py]", "optimizer=adam", "callbacks.extra=[]")
    assert now["imports"] == ["elsewhere/nets.py"]


def test_a_wrong_type_in_the_file_is_named(saved):
    _, checkpoint = saved()
    file = checkpoint / "config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("epochs: 10", "epochs: many"), encoding="utf-8")
    with pytest.raises(UserError, match=r"trainer\.epochs"):
        compose(f"trainer.resume='{checkpoint}'")


def test_a_metric_of_callbacks_that_are_objects(saved):
    with pytest.raises(UserError, match=r"trainer\.monitor=f1: no evaluation of this run gives such a metric"):
        compose("trainer.monitor=f1")
    with composed("train", ["trainer.monitor=f1"], {}, own_metrics=True) as (config, directory):
        assert config.trainer.monitor == "f1"
        assert config.run.name == directory.name
    assert not directory.exists()


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "a ${model.name}"])
def test_a_run_from_elsewhere_reads_nothing_of_this_process(value, saved):
    saved(logger__project=value)
    with pytest.raises(UserError, match=r"config.yaml is no configuration of a run: it holds interpolations"):
        compose("trainer.resume=auto")
