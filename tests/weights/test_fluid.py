"""Fluid 1.x files: read, written back bit for bit, and refused with a message when damaged."""

import shutil
import struct

import numpy as np
import pytest

from imgcls.errors import UserError
from imgcls.weights.fluid import files as fluid
from imgcls.weights.fluid.record import decode, encode

FOLDERS = [
    "MobileNetV1_x0_25_pretrained",
    "ShuffleNetV2_x0_25_pretrained",
    "ShuffleNetV2_x0_25_train",
    "ShuffleNetV2_x0_25_ema",
]


def files_of(directory):
    return {str(f.relative_to(directory)): f.read_bytes() for f in directory.rglob("*") if f.is_file()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_directory_comes_back_bit_for_bit(fluid_checkpoint, folder, tmp_path):
    arrays = fluid.read_directory(fluid_checkpoint / folder)
    fluid.write_directory(tmp_path / "copy", arrays)
    assert files_of(tmp_path / "copy") == files_of(fluid_checkpoint / folder)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_values_dtypes_and_shapes(fluid_checkpoint):
    arrays = fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_train")
    assert len(arrays) == 454
    assert arrays["fc6_weights"].shape == (512, 10)
    assert arrays["fc6_weights"].dtype == np.float32
    assert arrays["@LR_DECAY_COUNTER@"].dtype == np.int64
    assert arrays["@LR_DECAY_COUNTER@"].tolist() == [1]
    assert arrays["learning_rate"] == np.float32(0.001)


def test_names_with_slashes_and_control_characters(tmp_path):
    names = ["xception_41/entry_flow/conv1/weights", "fc_weights", "res4\x7f_branch2a_weights", "bn4\x90_branch2a_mean"]
    arrays = {name: np.full((2, 3), index, np.float32) for index, name in enumerate(names)}
    fluid.write_directory(tmp_path / "weights", arrays)
    assert (tmp_path / "weights" / "xception_41" / "entry_flow" / "conv1" / "weights").is_file()
    read = fluid.read_directory(tmp_path / "weights")
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], arrays[name]) for name in names)


def test_names_that_python_2_wrote_byte_by_byte(tmp_path):
    record = encode(np.ones(2, np.float32), "")
    with open(bytes(tmp_path) + b"/res4\x90_branch2a_weights", "wb") as file:
        file.write(record)
    assert list(fluid.read_directory(tmp_path)) == ["res4\x90_branch2a_weights"]


@pytest.mark.parametrize("dtype", ["bool", "int16", "int32", "int64", "float16", "float32", "float64", "uint8", "int8"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 1, 2), (300,)])
def test_any_numeric_array_survives(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    read, end = decode(data := encode(array, ""), "")
    assert (read.dtype, read.shape, end) == (array.dtype, array.shape, len(data))
    assert np.array_equal(read, array)


def test_arrays_in_other_layouts_are_written_in_c_order():
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    assert np.array_equal(decode(encode(array, ""), "")[0], array)


def test_lod_levels_are_passed_over():
    description = b"\x08\x05\x10\x02\x10\x03"
    values = np.arange(6, dtype=np.float32)
    lod = struct.pack("<QQQ", 16, 0, 2)
    record = struct.pack("<IQ", 0, 1) + lod + struct.pack("<Ii", 0, len(description)) + description + values.tobytes()
    assert decode(record, "")[0].tolist() == values.reshape(2, 3).tolist()


def test_the_inference_model_holds_what_the_checkpoint_holds(fluid_checkpoint):
    folder = fluid_checkpoint / "inference"
    arrays = fluid.read_inference_model(folder / "model", folder / "params")
    checkpoint = fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_train")
    assert arrays.keys() == fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_pretrained").keys()
    assert all(array.tobytes() == checkpoint[name].tobytes() for name, array in arrays.items())


def test_parameters_of_another_model_are_refused(fluid_checkpoint, tmp_path):
    folder = fluid_checkpoint / "inference"
    whole = (folder / "params").read_bytes()
    _, end_of_first = decode(whole, "")
    cases = {"more": whole + whole[:end_of_first], "fewer": whole[:end_of_first], "cut": whole[:-1], "none": b""}
    messages = {"more": "goes on after", "fewer": "holds 1 variables", "cut": "cut short", "none": "holds 0 variables"}
    for case, data in cases.items():
        (tmp_path / "params").write_bytes(data)
        with pytest.raises(UserError, match=messages[case]):
            fluid.read_inference_model(folder / "model", tmp_path / "params")


@pytest.mark.parametrize("data", [b"", b"<html>not here</html>", b"\xff" * 50, b"\x0a\x05abc", bytes(1000)])
def test_a_program_that_is_none(fluid_checkpoint, tmp_path, data):
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(UserError, match=r"model is (not a saved program|a program without)"):
        fluid.read_inference_model(tmp_path / "model", fluid_checkpoint / "inference" / "params")


def damaged():
    good = encode(np.ones((2, 2), np.float32), "")
    yield "empty", b"", "cut short"
    yield "text", b"these are not the weights", "not a variable"
    yield "half", good[:-5], "cut short"
    yield "head only", good[:12], "cut short"
    yield "tail", good + b"\0", "1 bytes follow"
    yield "huge", good[:24] + b"\x10" + b"\xff" * 4 + b"\x7f" + good[26:], "damaged"
    yield "dtype", good[:21] + bytes([99]) + good[22:], "damaged"
    yield "negative length", good[:16] + b"\xff\xff\xff\xff" + good[20:], "damaged"
    yield "wire", good[:20] + b"\x0f" + good[21:], "damaged"
    yield "levels", b"\0\0\0\0" + b"\xff" * 8 + good[12:], "not a variable"


@pytest.mark.parametrize(("data", "message"), [case[1:] for case in damaged()], ids=[case[0] for case in damaged()])
def test_a_damaged_variable_is_named(tmp_path, data, message):
    (tmp_path / "conv1_weights").write_bytes(data)
    with pytest.raises(UserError, match=message) as raised:
        fluid.read_directory(tmp_path)
    assert str(tmp_path / "conv1_weights") in str(raised.value)


def test_every_cut_and_every_changed_byte_of_the_head_is_answered(tmp_path):
    good = encode(np.ones((3, 2), np.float32), "")
    values = len(good) - 24
    changed = [bytes([*good[:i], good[i] ^ bit, *good[i + 1 :]]) for i in range(values) for bit in (1, 0x80)]
    for data in [good[:end] for end in range(len(good))] + changed:
        (tmp_path / "v").write_bytes(data)
        with pytest.raises(UserError):
            fluid.read_variable(tmp_path / "v")


def test_missing_and_empty_directories(tmp_path):
    with pytest.raises(UserError, match="no directory"):
        fluid.read_directory(tmp_path / "absent")
    (tmp_path / ".hidden").write_text("x")
    with pytest.raises(UserError, match="holds no files"):
        fluid.read_directory(tmp_path)
    with pytest.raises(UserError, match="Cannot read"):
        fluid.read_variable(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/absolute", "a//b", "a/../../b", "", "nul\0"])
def test_names_that_leave_the_directory_are_not_written(tmp_path, name):
    with pytest.raises(UserError, match="cannot be a file name"):
        fluid.write_directory(tmp_path / "new", {"fine": np.ones(1, np.float32), name: np.ones(1, np.float32)})
    assert not list(tmp_path.iterdir())


def test_write_all_or_nothing(fluid_checkpoint, tmp_path):
    ones = np.ones(1, np.float32)
    with pytest.raises(UserError, match="no place for complex64"):
        fluid.write_directory(tmp_path / "new", {"fine": ones, "odd": np.ones(1, np.complex64)})
    with pytest.raises(UserError, match="Cannot write"):
        fluid.write_directory(tmp_path / "new", {"a": ones, "a/b": ones})
    with pytest.raises(UserError, match="Cannot write"):
        fluid.write_directory(tmp_path / "new", {"n" * 300: ones})
    assert not list(tmp_path.iterdir())
    shutil.copytree(fluid_checkpoint / "inference", tmp_path / "full")
    with pytest.raises(UserError, match="exists already"):
        fluid.write_directory(tmp_path / "full", {"fine": ones})
    (tmp_path / "empty").mkdir()
    fluid.write_directory(tmp_path / "empty", {"fine": ones})
    assert fluid.read_variable(tmp_path / "empty" / "fine").tolist() == [1]
