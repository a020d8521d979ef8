"""Files of ``torch.save``, written by PyTorch itself: every type and layout, and nothing that is executed."""

import contextlib
import io
import pickle
import zipfile

import numpy as np
import pytest
from locations import ROOT

from imgcls.errors import UserError
from imgcls.weights import adapt
from imgcls.weights.source import read_weights

FILES = ROOT / "tests" / "reference" / "pytorch"
VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8


@pytest.mark.parametrize("name", ["tensors.pth", "legacy.pth"])
def test_every_type_and_layout(name):
    arrays = read_weights(FILES / name).arrays
    expected = {
        "weight": VALUES,
        "transposed": VALUES.transpose(2, 0, 1),
        "part": VALUES[1, 1:],
        "shared": VALUES.ravel(),
        "scalar": np.array(7),
        "empty": np.zeros((0, 3), np.float32),
        "parameter": VALUES[0],
        "float16": VALUES.astype(np.float16),
        "float64": VALUES.astype(np.float64),
        "i8": np.arange(3, dtype=np.int8),
        "i16": np.arange(3, dtype=np.int16),
        "bools": np.array([True, False]),
    }
    assert arrays.keys() == {*expected, "bfloat16"}
    for key, values in expected.items():
        assert arrays[key].dtype == values.dtype, key
        assert np.array_equal(arrays[key], values), key
    assert np.array_equal(adapt.to_float32(arrays["bfloat16"]), VALUES)  # all of them are exact in bfloat16


def test_a_checkpoint_gives_its_network_alone_without_the_wrapper():
    arrays = read_weights(FILES / "checkpoint.pth").arrays
    assert arrays["0.weight"].ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert set(arrays) == {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"} | {
        "1.num_batches_tracked"
    }


def test_a_whole_module_and_a_program_are_refused_with_what_to_do():
    with pytest.raises(UserError, match=r"it asks for torch\.nn\.modules\.linear\.Linear.*save the weights alone"):
        read_weights(FILES / "module.pth")
    with pytest.raises(UserError, match=r"a program of TorchScript.*Save the weights alone"):
        read_weights(FILES / "script.pt")


class Stranger:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def archive(path, pickled, storages, order="little"):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", pickled)
        file.writestr("x/byteorder", order)
        for name, content in storages.items():
            file.writestr(f"x/data/{name}", content)
    return path


def tensor(count=b"K\x04", offset=b"K\x00", shape=b"K\x04\x85", strides=b"K\x01\x85", key=b"X\x01\0\0\0" + b"0"):
    """A pickle of one tensor ``w`` as ``torch.save`` writes it, with parts to choose."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\n" + key + b"X\x03\0\0\0cpu" + count + b"tQ"
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89}tR"
    return b"\x80\x02}X\x01\0\0\0w" + rebuild + b"s."


FOUR = np.arange(4, dtype="<f4").tobytes()


def test_the_parts_make_a_tensor(tmp_path):
    assert read_weights(archive(tmp_path / "a.pth", tensor(), {"0": FOUR})).arrays["w"].tolist() == [0, 1, 2, 3]
    big = np.arange(4, dtype=">f4").tobytes()
    assert read_weights(archive(tmp_path / "b.pth", tensor(), {"0": big}, "big")).arrays["w"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("pickled", "storages", "reason"),
    [
        (tensor(shape=b"K\x05\x85"), {"0": FOUR}, "on a storage of 4 elements"),
        (tensor(offset=b"K\x01"), {"0": FOUR}, "on a storage of 4 elements"),
        (tensor(strides=b"K\x02\x85"), {"0": FOUR}, "on a storage of 4 elements"),
        (tensor(shape=b"J\xff\xff\xff\x7f\x85", strides=b"K\x00\x85"), {"0": FOUR}, "on a storage of 4 elements"),
        (tensor(strides=b"J\xff\xff\xff\xff\x85"), {"0": FOUR}, "without a storage, shape or strides"),
        (tensor(count=b"J\xff\xff\xff\x7f"), {"0": FOUR}, "has not the bytes"),
        (tensor(), {"1": FOUR}, "missing"),
        (tensor(key=b"X\x05\0\0\0../..", shape=b"K\x04\x85"), {"0": FOUR}, "missing"),
        (tensor(key=b"N"), {"0": FOUR}, "without a name"),
        (b"\x80\x02X\x01\0\0\0aQ.", {}, "something else than a storage"),
        (b"\x80\x02}X\x01\0\0\0wctorch\nFloatStorage\ns.", {}, "a stray Float32DType"),
        (pickle.dumps({"w": 1.0}, 2), {}, "not a dict of tensors"),
        (pickle.dumps([1, 2], 2), {}, "not a dict of tensors"),
    ],
)
def test_what_no_file_of_weights_says(tmp_path, pickled, storages, reason):
    with pytest.raises(UserError, match=reason):
        read_weights(archive(tmp_path / "a.pth", pickled, storages))


def test_nothing_is_executed(tmp_path):
    pickled = pickle.dumps({"state_dict": Stranger()}, 2)
    with pytest.raises(UserError, match=r"asks for (__builtin__|builtins).exec\b.*Nothing of it was executed"):
        read_weights(archive(tmp_path / "a.pth", pickled, {}))
    legacy = (FILES / "legacy.pth").read_bytes()
    start = legacy.index(b"ccollections")
    (tmp_path / "b.pth").write_bytes(legacy[:start] + pickle.dumps(Stranger(), 2)[2:])
    with pytest.raises(UserError, match="Nothing of it was executed"):
        read_weights(tmp_path / "b.pth")


@pytest.mark.parametrize("name", ["tensors.pth", "legacy.pth", "checkpoint.pth"])
def test_damage_anywhere_is_a_message_or_goes_unnoticed(tmp_path, name):
    content = (FILES / name).read_bytes()
    path = tmp_path / name
    for cut in range(0, len(content), 97):
        path.write_bytes(content[:cut])
        with pytest.raises(UserError):
            read_weights(path)
    draw = np.random.default_rng(0)
    for _ in range(150):
        changed = io.BytesIO(content)
        changed.seek(int(draw.integers(len(content))))
        changed.write(draw.bytes(1))
        path.write_bytes(changed.getvalue())
        with contextlib.suppress(UserError):  # anything else fails the test
            read_weights(path)
