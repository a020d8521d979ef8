"""The restricted unpickler: everything Paddle writes, nothing else, and never a call."""

import codecs
import contextlib
import os
import pickle
from collections import OrderedDict

import numpy as np
import paddle
import pytest

from imgcls.errors import UserError
from imgcls.weights.safe_pickle import NAME_TABLE, load_pickle

ARRAYS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "half": np.array([1.5, -2], np.float16),
    "steps": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
    "big endian": np.arange(3, dtype=">i4"),
}


@pytest.fixture
def network():
    return paddle.nn.Sequential(paddle.nn.Linear(3, 2), paddle.nn.BatchNorm(2))


def same(loaded, expected):
    return loaded.keys() == expected.keys() and all(
        loaded[name].dtype == array.dtype and np.array_equal(loaded[name], array) for name, array in expected.items()
    )


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_layout(tmp_path, protocol):
    path = write(tmp_path / "a.pdparams", pickle.dumps(ARRAYS, protocol=protocol))
    assert same(load_pickle(path), ARRAYS)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_state_dict_of_paddle_save(tmp_path, network, protocol):
    path = tmp_path / "net.pdparams"
    paddle.save(network.state_dict(), str(path), protocol=protocol)
    assert same(load_pickle(path), {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    table = load_pickle(path, keep_name_table=True)[NAME_TABLE]
    assert table["0.weight"] == network[0].weight.name


def test_an_optimizer_state_with_its_schedule(tmp_path, network):
    schedule = paddle.optimizer.lr.LinearWarmup(paddle.optimizer.lr.CosineAnnealingDecay(0.1, 10), 5, 0.0, 0.1)
    optimizer = paddle.optimizer.Momentum(schedule, parameters=network.parameters())
    network(paddle.ones([4, 3])).sum().backward()
    optimizer.step()
    schedule.step()
    paddle.save(optimizer.state_dict(), str(tmp_path / "net.pdopt"))
    state = load_pickle(tmp_path / "net.pdopt")
    assert state["LR_Scheduler"] == optimizer.state_dict()["LR_Scheduler"]
    velocity = f"{network[0].weight.name}_velocity_0"
    assert np.array_equal(state[velocity], optimizer.state_dict()[velocity].numpy())


def test_nested_objects_and_tensors_in_them(tmp_path):
    weight = paddle.ones([2, 2])
    paddle.save(
        {"net": {"w": weight}, "list": [1, 2.5, None, True, "x", (1, "y")], "scalar": np.float64(0.25)},
        str(tmp_path / "nested.pd"),
    )
    loaded = load_pickle(tmp_path / "nested.pd")
    assert loaded["list"] == [1, 2.5, None, True, "x", (1, "y")]
    assert loaded["scalar"] == 0.25
    assert np.array_equal(loaded["net"]["w"], np.ones((2, 2), np.float32))


def test_tensors_that_paddle_split(tmp_path):
    whole = np.arange(10, dtype=np.float32).reshape(2, 5)
    saved = {"w@@.0": whole.ravel()[:6], "w@@.1": whole.ravel()[6:], "b": np.ones(2, np.float32)}
    saved["UnpackBigParamInfor@@"] = {"w": {"OriginShape": (2, 5), "slices": ["w@@.0", "w@@.1"]}}
    path = write(tmp_path / "big.pdparams", pickle.dumps(saved, protocol=2))
    assert same(load_pickle(path), {"b": saved["b"], "w": whole})


def test_an_ordered_dict_is_a_dict(tmp_path):
    path = write(tmp_path / "o.pdparams", pickle.dumps(OrderedDict(ARRAYS), protocol=4))
    assert same(load_pickle(path), ARRAYS)


def test_what_fluid_save_wrote_under_python_2_or_3(fluid_checkpoint, tmp_path):
    loaded = load_pickle(fluid_checkpoint / "fluid_save" / "ShuffleNetV2_x0_25.pdparams")
    assert loaded["fc6_weights"].shape == (512, 10)
    # Python 2 has no bytes: the values are a plain string (opcode U), names too
    python2 = (
        b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\x00\x00\xc0\xbftbs."
    )
    assert load_pickle(write(tmp_path / "py2.pdparams", python2))["w"].tolist() == [-1.5]


class Call:
    """Pickles as a call, and a state for its result."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = function, arguments, state

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["value", "nested", "top"])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path, protocol, where):
    bomb = Call(os.system, f"touch {tmp_path / 'executed'}")
    saved = {"value": {"w": bomb}, "nested": {"w": [(bomb,)]}, "top": bomb}[where]
    path = write(tmp_path / "bomb.pdparams", pickle.dumps(saved, protocol=protocol))
    with pytest.raises(UserError, match=r"bomb\.pdparams is refused: it asks for (posix|os)\.system") as raised:
        load_pickle(path)
    assert "Nothing of it was executed" in str(raised.value)
    assert not (tmp_path / "executed").exists()
    pickle.loads(path.read_bytes())  # the bomb itself is live
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "call",
    [
        Call(eval, "1"),
        Call(exec, "1"),
        Call(getattr, {}, "keys"),
        Call(__import__, "os"),
        Call(open, "/etc/passwd"),
        Call(np.load, "x.npy"),
        Call(np.fromfile, "/etc/passwd"),
        Call(pickle.loads, b"."),
        Call(codecs.encode, "aa", "hex"),
        Call(bytearray.fromhex, "00"),
        Call(paddle.to_tensor, 1),
    ],
    ids=lambda call: call.reduced[0].__name__,
)
def test_other_callables(tmp_path, call):
    path = write(tmp_path / "call.pdparams", pickle.dumps({"w": call}, protocol=4))
    with pytest.raises(UserError, match=r"is (refused|damaged)"):
        load_pickle(path)


@pytest.mark.parametrize(
    "array",
    [np.array([{"any": "object"}]), np.array([(1, 2.0)], "i4,f4"), np.array(["text"]), np.array([b"raw"], "V3")],
    ids=["object", "structured", "string", "void"],
)
def test_arrays_that_are_not_numeric(tmp_path, array):
    path = write(tmp_path / "odd.pdparams", pickle.dumps({"w": array}, protocol=4))
    with pytest.raises(UserError, match="not numeric"):
        load_pickle(path)


def test_a_dtype_whose_state_lies_about_its_fields(tmp_path):
    """numpy believes such a state: a dtype that holds objects and says it does not."""
    state = (3, "|", None, ("a",), {"a": (np.dtype("f8"), 0)}, 8, 1, 0)
    path = write(tmp_path / "forged.pdparams", pickle.dumps({"w": Call(np.dtype, "f8", False, True, state=state)}, 2))
    with pytest.raises(UserError, match=r"damaged.*data type with fields"):
        load_pickle(path)


def test_too_few_values_for_the_shape(tmp_path):
    data = pickle.dumps({"w": np.arange(4, dtype=np.float32)}, protocol=4)
    path = write(tmp_path / "short.pdparams", data.replace(b"K\x04\x85", b"K\x05\x85"))
    with pytest.raises(UserError, match="16 bytes for an array of shape"):
        load_pickle(path)


def test_a_container_that_contains_itself(tmp_path):
    loop = {"w": np.ones(1, np.float32)}
    loop["self"] = [loop]
    loaded = load_pickle(write(tmp_path / "loop.pdparams", pickle.dumps(loop, protocol=4)))
    assert loaded["w"].tolist() == [1]
    doubling = ["x"]
    for _ in range(60):
        doubling = [doubling, doubling]
    load_pickle(write(tmp_path / "doubling.pdparams", pickle.dumps({"w": doubling}, protocol=4)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"conv1_weights 3 64\n", "begins with the text 'conv1_weights 3 64'"),
        (b"\x93NUMPY", "begins with the bytes 93 4e"),
        (b"\x80\x04", "damaged or cut short"),
        (b"\x80\x04" + b"\xff" * 100, "damaged or cut short"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f", "damaged or cut short"),
        (pickle.dumps([1, 2]), "holds a list; a dict of tensors is expected"),
        (pickle.dumps({"UnpackBigParamInfor@@": {"w": {"slices": ["gone"]}}}), "damaged or cut short"),
    ],
)
def test_files_that_are_something_else(tmp_path, data, message):
    with pytest.raises(UserError, match=message) as raised:
        load_pickle(write(tmp_path / "w.pdparams", data))
    assert str(tmp_path / "w.pdparams") in str(raised.value)


def test_every_cut_is_answered(tmp_path):
    data = pickle.dumps(ARRAYS, protocol=4)
    for end in range(0, len(data), 7):
        with pytest.raises(UserError):
            load_pickle(write(tmp_path / "cut.pdparams", data[:end]))


def test_changed_bytes_raise_nothing_but_user_errors(tmp_path):
    data = bytearray(pickle.dumps(ARRAYS, protocol=2))
    random = np.random.RandomState(0)
    taken = 0
    for _ in range(500):
        changed = bytearray(data)
        for position in random.randint(2, len(data), 3):
            changed[position] = random.randint(256)
        with contextlib.suppress(UserError):
            load_pickle(write(tmp_path / "changed.pdparams", bytes(changed)))
            taken += 1
    assert 0 < taken < 500


def test_missing_files_and_directories(tmp_path):
    for path in (tmp_path / "absent.pdparams", tmp_path):
        with pytest.raises(UserError, match="Cannot read"):
            load_pickle(path)
