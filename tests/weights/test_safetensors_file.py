"""``.safetensors`` files, held to the format's own package both ways."""

import json

import numpy as np
import pytest

from imgcls.errors import UserError
from imgcls.weights import adapt
from imgcls.weights.safetensors_file import read_safetensors, write_safetensors
from imgcls.weights.source import read_weights

ARRAYS = {
    "head.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "conv": np.arange(24, dtype=np.float16).reshape(2, 3, 2, 2),
    "名": np.arange(3, dtype=np.float64),
    "steps": np.array(7, np.int64),
    "bools": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}


def file(path, header, values=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + values)
    return path


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_what_the_package_writes_is_read_and_what_is_written_the_package_reads(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "我的 (1).safetensors"
    numpy_files.save_file(ARRAYS, theirs, metadata={"format": "np"})
    write_safetensors(ours, ARRAYS, {"format": "np"})
    with open(theirs, "rb") as opened:
        arrays, metadata = read_safetensors(opened, theirs)
    assert metadata == {"format": "np"}
    for read in (arrays, read_weights(ours).arrays, numpy_files.load_file(ours)):
        assert read.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert read[name].dtype == array.dtype
            assert np.array_equal(read[name], array)


def test_bfloat16(tmp_path):
    bits = (np.arange(4, dtype=np.float32).view(np.uint32) >> 16).astype("<u2")
    path = file(tmp_path / "a.safetensors", {"w": entry("BF16", (2, 2), (0, 8))}, bits.tobytes())
    assert adapt.to_float32(read_weights(path).arrays["w"]).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("header", "values", "reason"),
    [
        ({"w": entry()}, b"abc", "end after the file"),
        ({"w": entry()}, b"abcde", "something follows"),
        ({"w": entry(offsets=(4, 8))}, b"abcdefgh", "does not begin where"),
        ({"w": entry(), "v": entry()}, b"abcd", "does not begin where"),
        ({"w": entry(shape=(2,))}, b"abcd", "not the bytes of its shape"),
        ({"w": entry(shape=(-1,))}, b"abcd", "cannot be"),
        ({"w": entry(shape=(1 << 47, 1 << 47))}, b"abcd", "not the bytes of its shape"),
        ({"w": entry(shape=(1,) * 50)}, b"abcd", "cannot be"),
        ({"w": entry("F8_E4M3")}, b"abcd", "of the type F8_E4M3"),
        ({"w": {}}, b"", "dtype"),
        ({"w": 5}, b"", "subscriptable"),
        ({"__metadata__": {"a": 1}}, b"", "no texts"),
        (b"{" + b"[" * 3000, b"", "lists and objects|JSON|nested|recursion|Expecting"),
        (b'{"w": ', b"", "Expecting value"),
    ],
)
def test_what_no_file_says(tmp_path, header, values, reason):
    with pytest.raises(UserError, match=f"no whole .safetensors file.*({reason})"):
        read_weights(file(tmp_path / "a.safetensors", header, values))


@pytest.mark.parametrize("length", [0x80, 0x280, 0x4B50])
def test_a_length_that_begins_like_a_pickle_or_a_zip_file(tmp_path, length):
    text = json.dumps({"w": entry()}).encode()
    path = file(tmp_path / "a.safetensors", text + b" " * (length - len(text)), bytes(4))
    assert read_weights(path).arrays["w"].tolist() == [0]


def test_a_header_of_gigabytes_is_not_looked_for(tmp_path):
    with pytest.raises(UserError, match="a header of 4,000,000,000 bytes"):
        read_weights(file(tmp_path / "a.safetensors", b"{}", length=4_000_000_000))
