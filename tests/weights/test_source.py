"""What a path may be: files, directories, checkpoints and runs, or nothing of use."""

import pickle
import zipfile

import numpy as np
import paddle
import pytest

from imgcls import create_model
from imgcls.errors import UserError
from imgcls.weights.fluid.record import encode
from imgcls.weights.source import NETWORK_FILE, locate_weights, read_weights


@pytest.fixture(scope="module")
def network():
    return create_model("squeezenet1_1", num_classes=3)


def same(weights, network):
    state = network.state_dict()
    return weights.arrays.keys() == state.keys() and all(
        np.array_equal(array, state[key].numpy()) for key, array in weights.arrays.items()
    )


def checkpoint(directory, value):
    directory.mkdir(parents=True)
    paddle.save({"w": paddle.full([1], value)}, str(directory / NETWORK_FILE))
    return directory


def test_a_pdparams_file_is_structured(network, tmp_path):
    paddle.save(network.state_dict(), str(tmp_path / "net.pdparams"))
    for path in (tmp_path / "net.pdparams", tmp_path / "net"):
        weights = read_weights(path)
        assert weights.naming == "structured"
        assert same(weights, network)


def test_arrays_without_a_name_table_leave_the_naming_open(network, tmp_path):
    arrays = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    paddle.save(arrays, str(tmp_path / "net.pdparams"))
    np.savez(tmp_path / "net.npz", **arrays)
    for name in ("net.pdparams", "net.npz"):
        weights = read_weights(tmp_path / name)
        assert weights.naming is None
        assert same(weights, network)


def test_fluid_sources(fluid_checkpoint):
    for name in ("ShuffleNetV2_x0_25_train", "inference"):
        assert read_weights(fluid_checkpoint / name).naming == "fluid"
    assert read_weights(str(fluid_checkpoint / "fluid_save/ShuffleNetV2_x0_25.pdparams")).naming is None


def test_an_exported_network_has_its_weights_back(network, tmp_path):
    spec = [paddle.static.InputSpec([None, 3, 224, 224], "float32")]
    paddle.jit.save(network, str(tmp_path / "inference"), input_spec=spec)
    weights = read_weights(tmp_path)
    assert weights.naming == "fluid"
    expected = {tensor.name: tensor.numpy() for tensor in network.state_dict().values()}
    assert weights.arrays.keys() == expected.keys()
    assert all(np.array_equal(weights.arrays[name], array) for name, array in expected.items())


def test_a_checkpoint_and_the_run_around_it(tmp_path):
    last = checkpoint(tmp_path / "run" / "checkpoints" / "step_20", 20.0)
    run = tmp_path / "run"
    (run / "checkpoints" / "last").symlink_to(last.name)
    assert read_weights(last).arrays["w"].tolist() == [20]
    assert read_weights(run).arrays["w"].tolist() == [20]
    best = checkpoint(run / "checkpoints" / "step_10", 10.0)
    (run / "checkpoints" / "best").symlink_to(best.name)
    for path in (run, run / "checkpoints", run / "checkpoints" / "best"):
        assert read_weights(path).arrays["w"].tolist() == [10]
        assert locate_weights(path).resolve() == best / NETWORK_FILE


def test_a_run_without_checkpoints(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last").symlink_to("gone")
    with pytest.raises(UserError, match=r"run has no checkpoint yet: there is no checkpoints/best/network\.pdparams"):
        read_weights(tmp_path / "run")


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=r"no weights at .*/absent\. Expected there: a \.pdparams"):
        read_weights(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no files"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("w.pdparams", b"", "is no file of weights: the file is empty"),
        ("w.pdparams", b"<html>", "begins with the text '<html>'"),
        ("w.pdparams", np.random.RandomState(0).bytes(5000), "is no file of weights: it begins with the bytes"),
        ("w.tar", b"<html>", "not a whole, uncompressed tar"),
        ("conv1_weights", encode(np.ones(2, np.float32), ""), "single fluid variable is loaded through its directory"),
        ("w.pdparams", pickle.dumps({"net": {"w": np.ones(1)}, "epoch": 3}), r"holds net \(dict\), epoch \(int\)"),
        ("w.pdparams", pickle.dumps({}), "it holds nothing"),
        ("w.npz", b"PK\x03\x04 but not a zip", "is not an .npz"),
    ],
)
def test_files_of_no_use(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_weights(tmp_path / name)


def test_npz_files_that_hold_objects_or_are_other_zips(tmp_path):
    np.savez(tmp_path / "objects.npz", w=np.array([{"a": 1}]))
    with pytest.raises(UserError, match=r"objects\.npz is not an \.npz file of numeric arrays"):
        read_weights(tmp_path / "objects.npz")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02.")
    with pytest.raises(UserError, match=r"is a zip file, but not an \.npz"):
        read_weights(tmp_path / "other.zip")
