"""Checkpoints that are not what their manifest says, or whose manifest says too little or too much."""

import gzip
import json
import os
import pickle
import shutil

import numpy as np
import paddle
import pytest
from omegaconf import OmegaConf
from paddle import nn
from tiny_run import TINY, finish, starter
from values_of_conf import optimizer_options

from imgcls.app.run_record import read_record
from imgcls.app.source import build_network, recorded_source
from imgcls.callbacks.checkpoint import restore
from imgcls.data.formats.record import differences
from imgcls.data.formats.samples import Samples
from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.models import bounds
from imgcls.models.bounds import at_most
from imgcls.run.checkpoint import (
    FOR_USE,
    MANIFEST,
    DamagedCheckpoint,
    list_checkpoints,
    newest_whole,
    remove_old,
    verify,
    write_checkpoint,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    with starter(directory) as start:
        finish(start(*TINY, "trainer.epochs=1"))
    return directory / "outputs" / "tiny"


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "outputs" / "tiny", symlinks=True)
    return tmp_path / "outputs" / "tiny"


@pytest.fixture
def best(run):
    return (run / "checkpoints" / "best").resolve()


def forge(checkpoint, name, content):
    """Change a file and write its sha256 into the manifest, as a stranger would."""
    (checkpoint / name).write_bytes(content)
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    manifest["sha256"][name] = sha256(checkpoint / name)
    (checkpoint / MANIFEST).write_text(json.dumps(manifest))


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "empty": lambda path: path.write_bytes(b""),
    "wrong": lambda path: path.write_text("model: {name: alexnet}\n"),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [*FOR_USE, MANIFEST, "optimizer.pdopt"])
def test_no_program_reads_what_is_damaged(refused, run, best, name, damage):
    DAMAGE[damage](best / name)
    answer = refused("read_record", run)
    assert str(best / name) in answer or name == MANIFEST
    assert MANIFEST in answer or "Name another checkpoint of the run" in answer


def test_the_programs_say_so(run, best, run_program, tmp_path):
    (best / "config.yaml").write_bytes(bytes(10))
    (tmp_path / "x.jpg").write_bytes(b"")
    for program in ("eval", "predict", "export"):
        words = [f"{program}.source={run}", *(["predict.input=x.jpg"] if program == "predict" else [])]
        result = run_program(program, *words, cwd=tmp_path, check=False)
        assert result.returncode == 2
        assert f"{best / 'config.yaml'} is damaged" in result.stderr + result.stdout
        assert "Traceback" not in result.stderr


def test_weights_of_a_run_are_those_its_manifest_lists(refused, ask_bounded, run, best):
    assert ask_bounded("read_weights", run) == ["read"]
    content = bytearray((best / "network.pdparams").read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one value, which a pickle does not notice
    (best / "network.pdparams").write_bytes(content)
    assert ask_bounded("read_weights", best / "network.pdparams") == ["read"]
    assert "network.pdparams is damaged" in refused("read_weights", run)


def test_a_link_to_a_checkpoint_that_is_gone_is_not_silent(refused, run):
    (run / "checkpoints" / "best").unlink()
    (run / "checkpoints" / "best").symlink_to("epoch-0099-step-00000099")
    assert "best leads to a checkpoint that is gone" in refused("read_record", run)
    (run / "checkpoints" / "best").unlink()
    (run / "checkpoints" / "best").symlink_to("best")
    assert "best leads to a checkpoint that is gone" in refused("read_record", run)


MANIFESTS = {
    "no files": {"format": 1, "sha256": {}},
    "a list": {"format": 1, "sha256": []},
    "no network": {"format": 1, "sha256": {"config.yaml": "0" * 64, "classes.txt": "0" * 64}},
    "no configuration": {"format": 1, "sha256": {"network.pdparams": "0" * 64, "classes.txt": "0" * 64}},
    "a path": {"format": 1, "sha256": {"../outside": "0" * 64}},
    "an absolute path": {"format": 1, "sha256": {"/etc/passwd": "0" * 64}},
    "this directory": {"format": 1, "sha256": {".": "0" * 64}},
    "a control character": {"format": 1, "sha256": {"a\nb": "0" * 64}},
    "a name of megabytes": {"format": 1, "sha256": {"x" * 10**6: "0" * 64}},
    "a number": {"format": 1, "sha256": {"network.pdparams": 7}},
    "another format": {"format": "x" * 10**6, "sha256": {"network.pdparams": "0" * 64}},
    "nothing": {},
    "no object": 7,
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_says_too_little_or_too_much(refused, run, best, name):
    (best / MANIFEST).write_text(json.dumps(MANIFESTS[name]))
    refused("read_record", run)
    with pytest.raises(DamagedCheckpoint):
        verify(best, FOR_USE)
    assert newest_whole(run / "checkpoints", lambda message: None, FOR_USE) != best


CONFIGS = {
    "a milliard laughs": b"a: &a [x]\nmodel: {args: {a: [*a, *a]}}\n",
    "no sections": b"a: 1\n",
    "sections that are lists": b"model: []\ndata: []\ntransform: []\n",
    "interpolations": b"model: {name: '${oc.env:HOME}'}\ndata: {}\ntransform: {}\n",
    "a size of a milliard": b"model: {name: alexnet}\ndata: {}\ntransform: {size: 1000000000}\n",
    "a size that is a text": b"model: {name: alexnet}\ndata: {}\ntransform: {size: big}\n",
    "layers by the milliard": b"model: {name: alexnet, args: {layers: [2, 1000000000]}}\ndata: {}\ntransform: {}\n",
    "a width without end": b"model: {name: alexnet, args: {width: .inf}}\ndata: {}\ntransform: {}\n",
    "classes by the milliard": b"model: {name: alexnet, num_classes: 1000000000}\ndata: {}\ntransform: {}\n",
    "sides in any proportion": b"model: {input_size: 1, resize_size: 8000}\ndata: {}\ntransform: {size: 99}\n",
    "a size of nothing": b"model: {name: alexnet}\ndata: {}\ntransform: {size: 0}\n",
    "imports that are a number": b"imports: 5\nmodel: {name: alexnet}\ndata: {}\ntransform: {}\n",
    "a target that is a number": b"model: {name: alexnet}\ndata: {_target_: 5}\ntransform: {}\n",
    "odd keys": b"model: {null: 1}\ndata: {}\ntransform: {}\n",
    "many values": b"model: {args: {a: [" + b"0," * 20_000 + b"]}}\ndata: {}\ntransform: {}\n",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_forged_configuration_is_refused(refused, run, best, name):
    forge(best, "config.yaml", CONFIGS[name])
    assert str(best / "config.yaml") in refused("read_record", run)


def test_class_names_without_end_are_refused(refused, run, best):
    forge(best, "classes.txt", b"a\n" * 3_000_000)
    assert "classes.txt is refused: it is larger than" in refused("read_record", run)


FORGED = {
    "state.json": b'{"trainer": 1, "callbacks": {}}',
    "network.pdparams": pickle.dumps({"w": [1]}, 4),
    "optimizer.pdopt": pickle.dumps({"master_weights": {"w": [[1], [1]]}}, 4),
    "config.yaml": b"a: &a [*a]\n",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_run_does_not_go_on_from_a_forged_state(run, best, name, tmp_path):
    forge(best, name, FORGED[name])
    with starter(tmp_path) as start:
        output = finish(start(*TINY, "trainer.epochs=2", "trainer.resume=auto"), 2)
    assert name in output
    assert "Traceback" not in output


def saved(root, epoch):
    return write_checkpoint(root, epoch, 10 * epoch, {"weights": lambda path: path.write_text("numbers")})


def test_epoch_10000_is_newer_than_9999(tmp_path):
    written = [saved(tmp_path, epoch) for epoch in (10_000, 9_998, 100_000, 9_999)]
    ordered = [written[index] for index in (1, 3, 0, 2)]
    assert list_checkpoints(tmp_path) == ordered
    assert newest_whole(tmp_path, pytest.fail) == written[2]
    (tmp_path / "best").symlink_to("best")  # a loop
    remove_old(tmp_path, 2)
    assert list_checkpoints(tmp_path) == ordered[2:]


def test_a_file_the_manifest_does_not_list_is_not_weights(run, best):
    (best / "ema.pdparams").write_bytes(pickle.dumps({"w": np.ones(1)}, 4))
    with pytest.raises(UserError, match="has no ema weights"):
        read_record(run).weights("ema")


def test_a_run_does_not_look_into_a_damaged_configuration(best, tmp_path):
    (best / "config.yaml").write_bytes(bytes(100))
    with starter(tmp_path) as start:
        output = finish(start(*TINY, "trainer.epochs=2", "trainer.resume=auto"), 2)
    assert f"{best / 'config.yaml'} is damaged: its sha256 differs" in output
    assert "No checkpoint in" in output
    assert "Traceback" not in output


NO_LISTS = {
    "a bomb": b'{"count": 1}\n' + bytes(80_000_000),
    "empty paths": b'{"count": 30000000}\n' + bytes(10_000_000),
    "brackets": b"[" * 10**6,
    "no count": b"{}\n",
    "a word": b'{"count": "x"}\n',
    "too little": b'{"count": 5}\nab',
}


@pytest.mark.parametrize("name", NO_LISTS)
def test_a_list_of_samples_that_is_none(tmp_path, name):
    with gzip.open(tmp_path / "samples.gz", "wb", compresslevel=1) as file:
        file.write(NO_LISTS[name])
    with pytest.raises(UserError, match="is no list of samples"):
        differences(tmp_path / "samples.gz", Samples.of_classes("/photos", [[b"1.jpg"]], ("cat",)))


@pytest.mark.parametrize("values", [{"width": 90_000}, {"width": 2, "stem": {"conv1": 900_000}}])
def test_a_network_that_its_weights_cannot_fill_is_not_built(run, best, values):
    """Before its memory is taken: here it would be gigabytes."""
    config = OmegaConf.load(best / "config.yaml")
    config.model.name, config.model.args = "resnet18", values
    forge(best, "config.yaml", OmegaConf.to_yaml(config).encode())
    record = read_record(run)
    source = recorded_source(record, record.config)
    with pytest.raises(UserError, match=r"more than the [\d,]+ parameters that .*network\.pdparams can hold"):
        build_network(source.config.model, len(source.class_names), require_all=True)


def test_layers_without_parameters_end_too(monkeypatch):
    monkeypatch.setattr(bounds, "TENSORS", 1000)
    with at_most(10, "it"):
        [nn.ReLU() for _ in range(1000)]
    with pytest.raises(UserError, match="more than 1,000 layers"), at_most(10, "it"):
        [nn.ReLU() for _ in range(1001)]
    with at_most(10, "it"), pytest.raises(UserError, match="more than the 10 parameters that it can hold"):
        nn.Linear(3, 4)
    assert nn.Linear(3, 4).weight.shape == [3, 4]


STATES = {
    "no progress": {"trainer": {}, "callbacks": {}},
    "an epoch without end": {"trainer": {"progress": {"epoch": 10**35, "batch": 0, "step": 0}}, "callbacks": {}},
    "an epoch before the first": {"trainer": {"progress": {"epoch": -1, "batch": 0, "step": 0}}, "callbacks": {}},
    "a list": {"trainer": {"progress": []}, "callbacks": {}},
    "of another program": {"trainer": {"progress": {"a": 1}}, "callbacks": {}},
}


@pytest.mark.parametrize("case", STATES)
def test_a_forged_state_is_no_run_to_go_on_with(best, case):
    network = nn.Linear(2, 2)
    trainer = Trainer(network, lambda images: images)
    trainer.prepare(
        build_optimizer("momentum", network, OptimizerLR(lambda step: 0.1), **optimizer_options("momentum"))
    )
    paddle.save(network.state_dict(), str(best / "network.pdparams"))
    paddle.save(trainer.optimizer.state_dict(), str(best / "optimizer.pdopt"))
    (best / "state.json").write_text(json.dumps(STATES[case]))
    with pytest.raises(UserError, match=r"state\.json is not the state of a run"):
        restore(best, trainer, [])
