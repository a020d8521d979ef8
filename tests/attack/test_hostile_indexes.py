"""Indexes that come with a data set, and features that a prediction goes on with: of a stranger, or damaged."""

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from imgcls.data.formats.tar_index import INDEX, read_index
from imgcls.deploy.feature_file import FILE, FeatureFile

PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(600)


@pytest.fixture
def shards(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name in ("cat/1.png", "dog/1.png"):
            member = tarfile.TarInfo(name)
            member.size = len(PIXEL)
            tar.addfile(member, io.BytesIO(PIXEL))
    return tmp_path


FORGED = {
    "an offset beyond the shard": {"offsets": [512, 2**62]},
    "an offset before it": {"offsets": [512, -1]},
    "a size beyond it": {"sizes": [608, 2**62]},
    "sizes that overflow": {"offsets": [2**62, 2**62], "sizes": [2**62, 2**62]},
    "a size below nothing": {"sizes": [608, -608]},
    "a shard that is not there": {"shard_of": [0, 1]},
    "a class that is not there": {"classes": [0, 2]},
    "names that go on": {"lengths": [9, 2**62]},
    "names that come back": {"lengths": [19, -1]},
    "a column that is short": {"sizes": [608]},
    "a column of another kind": {"offsets": [0.5, 1.5]},
    "a column of columns": {"offsets": [[0], [0]]},
}


@pytest.mark.parametrize("case", FORGED)
def test_an_index_is_believed_within_its_shards_alone(shards, case):
    whole = read_index(shards)
    with np.load(shards / INDEX) as content:
        arrays = dict(content)
    np.savez(shards / INDEX, **arrays)
    assert read_index(shards).offsets.tolist() == whole.offsets.tolist()
    for name, values in FORGED[case].items():
        arrays[name] = np.array(values)
    np.savez(shards / INDEX, **arrays)
    again = read_index(shards)
    for name in ("offsets", "sizes", "shard_of", "classes", "lengths"):
        assert getattr(again, name).tolist() == getattr(whole, name).tolist(), name


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


class Evil:
    def __reduce__(self):
        return (exec, ("open('executed', 'w')",))


def object_array() -> bytes:
    return header("(1,)", "'|O'") + pickle.dumps(np.array([Evil()], object))


MEMBERS = {
    "a terabyte that is not there": header("(500000, 500000)"),
    "dimensions that overflow": header(f"({2**40}, {2**40})"),
    "a hundred dimensions": header("(" + "1, " * 100 + ")") + bytes(4),
    "objects": object_array(),
    "a header that is a program": header("__import__('os').system('touch executed')"),
    "a header without end": b"\x93NUMPY\2\0" + (2**31).to_bytes(4, "little") + b"{",
    "texts out of range": header("(1,)", "'<U1'") + b"\xff\xff\xff\x7f",
    "texts without end": header("(1,)", "'<U2000000000'"),
    "nothing": b"",
}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("name", [FILE, INDEX])
def test_arrays_that_lie(ask_bounded, shards, name, member):
    """Features are refused by name; an index is made anew."""
    with zipfile.ZipFile(shards / name, "w") as archive:
        for key in ("paths", "features", "header", "names"):
            archive.writestr(f"{key}.npy", MEMBERS[member])
    (answer,) = ask_bounded("resume_features" if name == FILE else "read_index", shards)
    assert answer == "read" if name == INDEX else f"{FILE} is damaged" in answer
    assert not (shards / "executed").exists()


def test_zeros_that_grow_a_thousandfold(ask_bounded, shards):
    with zipfile.ZipFile(shards / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("paths", "features"):
            archive.writestr(f"{key}.npy", header("(1, 50000000)") + bytes(200_000_000))
    assert "is damaged" in ask_bounded("resume_features", shards)[0]


def test_features_of_a_finished_prediction_are_gone_on_with(tmp_path):
    paths = ["a.jpg", "我的照片/photo (1).jpg"]
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    first = FeatureFile(tmp_path)
    first.add(paths, features)
    first.close()
    again = FeatureFile(tmp_path, resume=True)
    assert list(again.paths()) == paths
    again.add(["b.jpg"], features[:1])
    again.close()
    with np.load(tmp_path / FILE) as content:
        assert content["paths"].tolist() == [*paths, "b.jpg"]
        assert content["features"].tolist() == [*features.tolist(), features[0].tolist()]


def member(name: bytes, kind: bytes = b"0", size: bytes = b"00000000000\0", content: bytes = b"") -> bytes:
    head = bytearray(
        name.ljust(100, b"\0") + b"0000644\0" * 3 + size + b"0" * 11 + b"\0" + b" " * 8 + kind + bytes(355)
    )
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + content + bytes(-len(content) % 512)


BACKWARDS = b"\xff" * 10 + (2**16 - 512).to_bytes(2, "big")  # -512 to the base of 256
SHARDS = {
    "a size below nothing": member(b"cat/1.png", size=BACKWARDS),
    "a header of a size below nothing": member(b"x", b"x", BACKWARDS),
    "digits in a header": member(b"x", b"x", b"%011o\0" % 65000, b"1" * 65000) * 20,
    "a header of a gigabyte": member(b"x", b"x", b"%011o\0" % (1 << 30)),
    "a member larger than the shard": member(b"cat/1.png", size=b"77777777777\0"),
    "a map without end": member(b"cat/1.png", b"S")[:482] + b"\1" + bytes(29),
}


@pytest.mark.parametrize("case", SHARDS)
def test_shards_that_lie(refused, tmp_path, case):
    (tmp_path / "0.tar").write_bytes(member(b"dog/1.png") + SHARDS[case] + bytes(1024))
    assert "0.tar" in refused("read_index", tmp_path)
