"""What a program takes over from the run it is given, and what the command line keeps."""

from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from imgcls.app.program import given_keys
from imgcls.app.run_record import merge_record, read_record
from imgcls.errors import UserError
from imgcls.run.checkpoint import write_checkpoint

RECORD = {
    "model": {"name": "resnet50", "num_classes": 7},
    "data": {"name": "folder", "root": "photos", "num_classes": 7},
    "transform": {"size": 160},
    "trainer": {"seed": 3},
}
DEFAULT = {
    "model": {"name": "squeezenet1_1", "num_classes": 1000},
    "data": {"name": "sample", "root": None},
    "transform": {"size": 224},
    "trainer": {"seed": 0},
}


NAMES = ("epoch-0001-step-00000001", "epoch-0001-step-00000002")


@pytest.fixture
def run(tmp_path):
    """A run with two checkpoints, whose names say which they are."""
    for step in (1, 2):
        texts = {
            "network.pdparams": "",
            "classes.txt": f"{step}\nb\n",
            "config.yaml": OmegaConf.to_yaml(OmegaConf.create(RECORD)),
        }
        writers = {name: partial(Path.write_text, data=text, encoding="utf-8") for name, text in texts.items()}
        write_checkpoint(tmp_path / "run" / "checkpoints", 1, step, writers)
    (tmp_path / "run" / "checkpoints" / "last").symlink_to(NAMES[1])
    return tmp_path / "run"


def test_a_run_is_its_best_checkpoint_or_else_its_last(run):
    assert read_record(run).class_names == ["2", "b"]
    (run / "checkpoints" / "best").symlink_to(NAMES[0])
    found = read_record(run)
    assert found.class_names == ["1", "b"]
    assert found.checkpoint == (run / "checkpoints" / NAMES[0]).resolve()
    assert found.config == OmegaConf.create(RECORD)
    assert read_record(run / "checkpoints" / "last").class_names == ["2", "b"]


def test_what_is_no_run(tmp_path):
    (tmp_path / "weights.pdparams").touch()
    assert read_record(tmp_path / "weights.pdparams") is None
    assert read_record(tmp_path) is None
    with pytest.raises(UserError, match="gone: there is no such run, checkpoint or weights file"):
        read_record(tmp_path / "gone")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="is a run without a checkpoint yet"):
        read_record(tmp_path)


def merged(run, **sections):
    return merge_record(OmegaConf.create(DEFAULT | sections), read_record(run), given_keys())


def test_network_data_and_transform_are_the_runs(run, command_line):
    command_line()
    assert merged(run) == OmegaConf.create(RECORD | {"trainer": DEFAULT["trainer"]})


def test_a_value_of_the_command_line_stays(run, command_line):
    command_line("data.root=mine", "++transform.size=96", "+model.new=1")
    result = merged(
        run,
        data={"name": "sample", "root": "mine"},
        transform={"size": 96},
        model={"name": "squeezenet1_1", "num_classes": 1000, "new": 1},
    )
    assert result.data == {"name": "folder", "root": "mine", "num_classes": 7}
    assert result.transform == {"size": 96}
    assert result.model == {"name": "resnet50", "num_classes": 7, "new": 1}


def test_a_choice_of_the_command_line_replaces_the_section(run, command_line):
    command_line("data=list", "data.root=mine")
    assert merged(run, data={"name": "list", "root": "mine"}).data == {"name": "list", "root": "mine"}


def test_a_section_the_program_does_not_have_is_left_out(run, command_line):
    command_line()
    config = OmegaConf.create({"model": DEFAULT["model"]})
    assert merge_record(config, read_record(run), given_keys()) == {"model": RECORD["model"]}
    assert config.model.name == "squeezenet1_1", "what was given is not changed"
