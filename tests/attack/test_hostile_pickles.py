"""Pickles that ask for memory, time or depth that no file of weights needs."""

import pickle
import random

import numpy as np
import pytest

PROTO = b"\x80\x04"
# an array that waits for its state
NUMPY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
F4 = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
MEGABYTES = b"B" + (10**7).to_bytes(4, "little") + b"x" * 10**7


def builtin(name, *arguments):
    return b"cbuiltins\n" + name + b"\n" + b"(" + b"".join(arguments) + b"tR"


BOMBS = {
    "a place in the memo far away": b"}r\xff\xff\xff\x7f0N.",
    "a memo without end": b"N" + b"\x94" * 3_000_000 + b".",
    "empty dicts": b"}\x94" * 1_000_000 + b".",
    "empty sets": b"\x8f" * 1_000_000 + b".",
    "OrderedDicts": b"ccollections\nOrderedDict\n\x94" + b"h\x00)R" * 500_000 + b".",
    "short texts": b"](" + b"\x8c\x02ab" * 1_000_000 + b"e.",
    "marks": b"(" * 3_000_000,
    "a tuple of itself": b"}\x8c\x01wK\x01" + b"2\x86" * 60 + b"s.",
    "a tuple of itself as a key": b"}K\x01" + b"2\x86" * 60 + b"K\x01s.",
    "a tuple of itself in a set": b"\x8f(K\x01" + b"2\x86" * 60 + b"\x90.",
    "a tuple of itself in a frozenset": b"(K\x01" + b"2\x86" * 60 + b"\x91.",
    "a tuple of itself as a name": NUMPY[:0] + b"K\x01" + b"2\x86" * 60 + b"\x8c\x01n\x93.",
    "a tuple of itself as a shape": NUMPY + b"(K\x01K\x01" + b"2\x86" * 60 + F4 + b"\x89C\x00tb.",
    "a tuple of itself as a data type": b"cnumpy\ndtype\nK\x01" + b"2\x86" * 60 + b"\x85R.",
    "a list of itself a million deep": b"}K\x00" + b"]" * 100_000 + b"a" * 99_999 + b"s.",
    "a tuple 900,000 deep": b"}K\x00K\x01" + b"\x85" * 900_000 + b"s.",
    "a dict 50,000 deep": b"}K\x00" * 50_000 + b"N" + b"s" * 50_000 + b".",
    "a bytearray of a gigabyte": b"}K\x00" + builtin(b"bytearray", b"J\x00\x00\x00\x40") + b"s.",
    "bytes of a gigabyte": b"}K\x00" + builtin(b"bytes", b"J\x00\x00\x00\x40") + b"s.",
    "the same megabytes again and again": MEGABYTES + b"\x94cbuiltins\nbytearray\n\x94" + b"h\x01h\x00\x85R" * 1000,
    "the same tuple again and again": (
        b"(" + b"K\x01" * 99_999 + b"t\x94cbuiltins\nset\n\x94" + b"h\x01h\x00\x85R" * 9999
    ),
    "the same bytes joined a thousand times": (
        b"}(\x8c\x15UnpackBigParamInfor@@}\x8c\x01w}(\x8c\x0bOriginShapeK\x01\x85\x8c\x06slices]("
        + b"".join(b"\x8c\x04%04d" % number for number in range(1000))
        + b"eussu"
    ),
    "a number of gigabytes": b"\x8b\xff\xff\xff\x7f",
    "a text of gigabytes": b"X\xff\xff\xff\xff" + b"x" * 100,
    "bytes of exabytes": b"\x8e" + b"\xff" * 7 + b"\x0f",
    "a bytearray of exabytes": b"\x96" + b"\xff" * 7 + b"\x0f",
    "one wide character": b"X" + (10**7).to_bytes(4, "little") + b"x" * (10**7 - 4) + "😀".encode() + b".",
    "a name of megabytes": b"c" + b"x" * 10**7 + b"\nx\n.",
    "a data type of megabytes": b"cnumpy\ndtype\nX" + (10**6).to_bytes(4, "little") + b"i4," * 333_333 + b"x\x85R.",
    "an array of 100,000 dimensions": NUMPY + b"(K\x01(" + b"K\x01" * 100_000 + b"t" + F4 + b"\x89C\x04abcdtb.",
    "an array of a shape that overflows": NUMPY + b"(K\x01(" + b"J\xff\xff\xff\x7f" * 9 + b"t" + F4 + b"\x89C\x00tb.",
    "an array of a negative size": NUMPY + b"(K\x01(J\xff\xff\xff\xffJ\xff\xff\xff\xfft" + F4 + b"\x89C\x04abcdtb.",
    "an array without a state": b"}\x8c\x01w" + NUMPY + b"s.",
    "an object of an array's class": b"}\x8c\x01wcnumpy\nndarray\n)\x81s.",
    "persistent": b"}\x8c\x01wK\x01Qs.",
    "an extension": b"}\x8c\x01w\x82\x01s.",
    "a buffer from elsewhere": b"}\x8c\x01w\x97s.",
    "names": b"}(" + b"".join(b"\x8c\x07%07dK\x00" % number for number in range(400_000)) + b"u.",
    "a list as a dict's key": b"}]K\x00s.",
    "keys that hash alike": b"}("
    + b"".join(b"\x8a\x10" + (k * (2**61 - 1)).to_bytes(16, "little") + b"N" for k in range(1, 100_000))
    + b"u.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(refused, tmp_path, name):
    path = tmp_path / "w.pdparams"
    path.write_bytes(PROTO + BOMBS[name])
    if name == "a place in the memo far away":  # nothing of it is wrong but what Python's own unpickler makes of it
        assert "holds a NoneType; a dict of tensors is expected" in refused("load_pickle", path)
    else:
        assert "w.pdparams is" in refused("load_pickle", path)
    assert "w.pdparams" in refused("read_weights", path)


def test_lists_that_repeat_themselves_are_no_weights(refused, tmp_path):
    doubling = ["x"]
    for _ in range(60):
        doubling = [doubling, doubling]
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"w": doubling}, protocol=4))
    assert "is not a dict of tensors: it holds w (list)" in refused("read_weights", tmp_path / "w.pdparams")


def test_names_of_any_length_fit_into_a_message(refused, tmp_path):
    for content in ({"x" * 10**6: 1}, {"x" * 10**6: np.ones(1)}, {"\x1b[2J": 1}):
        (tmp_path / "w.pdparams").write_bytes(pickle.dumps(content, protocol=4))
        answer = refused("read_weights", tmp_path / "w.pdparams")
        assert len(answer) < 500
        assert "\x1b" not in answer


WHOLE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bn._mean": np.zeros(3),
    "steps": np.array(7, np.int64),
    "StructuredToParameterName@@": {"conv.weight": "conv_0.w_0"},
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_changed_pickles_are_read_or_refused(ask_bounded, tmp_path, protocol):
    generator = random.Random(protocol)
    whole = pickle.dumps(WHOLE, protocol=protocol)
    paths = []
    for number in range(400):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            changed[generator.randrange(2, len(changed))] = generator.randrange(256)
        paths.append(tmp_path / f"{number}.pdparams")
        paths[-1].write_bytes(changed)
    ask_bounded("read_weights", *paths)


CODES = [
    *(bytes([code]) for code in b"(.01N}])\x88\x89ab2Rstu\x85\x86\x87\x8f\x90\x91\x94e"),
    *(b"K\x00", b"K\x01", b"q\x00", b"h\x00", b"r\xff\xff\xff\xff", b"j\x00\x00\x00\x00", b"\x8c\x01w", b"C\x04abcd"),
    *(NUMPY, F4, b"G" + bytes(8), b"\x8a\x08" + bytes(7) + b"\x7f", b"cbuiltins\ntuple\n", b"cbuiltins\nset\n"),
    *(b"cbuiltins\nbytearray\n", b"ccollections\nOrderedDict\n", b"c_codecs\nencode\n", b"\x8c\x06latin1"),
    b"cnumpy.core.multiarray\nscalar\n",
]


@pytest.mark.parametrize("seed", range(3))
def test_programs_of_random_instructions_are_read_or_refused(ask_bounded, tmp_path, seed):
    generator = random.Random(seed)
    paths = []
    for number in range(400):
        program = b"".join(generator.choices(CODES, k=generator.randint(2, 60)))
        paths.append(tmp_path / f"{number}.pdparams")
        paths[-1].write_bytes(PROTO + b"}" * (number % 3) + program + b".")
    ask_bounded("load_pickle", *paths)


def test_a_file_of_many_tensors_is_no_bomb(ask_bounded, tmp_path):
    """Eight thousand tensors and their names: more than the largest network with its optimizer's state."""
    tensors = {f"layer{number}.conv.weight": np.ones((3, 3), np.float32) for number in range(8000)}
    for protocol in (2, 4):
        (tmp_path / "w.pdparams").write_bytes(pickle.dumps(tensors, protocol=protocol))
        assert ask_bounded("read_weights", tmp_path / "w.pdparams") == ["read"]


@pytest.mark.slow
def test_a_large_file_takes_its_own_size(ask_bounded, tmp_path):
    """Whichever way the values of its tensors are stored: more memory than that and some fails the child."""
    values = np.random.RandomState(0).randn(1 << 23).astype(np.float32)
    tensors = {f"w{number}": values + number for number in range(5)}
    for protocol in (2, 4):
        (tmp_path / "w.pdparams").write_bytes(pickle.dumps(tensors, protocol=protocol))
        assert ask_bounded("read_weights", tmp_path / "w.pdparams") == ["read"]
