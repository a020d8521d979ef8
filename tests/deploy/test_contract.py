"""``inference.yaml``: what is written is read back, and nonsense in it is named."""

from dataclasses import replace

import pytest
import yaml

from imgcls.deploy.contract import (
    FILE,
    FILES,
    OPTIONAL,
    is_export,
    read_contract,
    require_replaceable,
    verify_files,
    write_contract,
)
from imgcls.errors import UserError

DIGESTS = dict.fromkeys(FILES["paddle"], "0" * 64)


@pytest.fixture
def contract(contract_for):
    return contract_for(class_names=("yes", "null", "1", "a: b", "# c", "été", "猫", ""), sha256=DIGESTS)


def test_written_and_read_back(contract, tmp_path):
    assert not is_export(tmp_path)
    write_contract(contract, tmp_path)
    assert is_export(tmp_path)
    assert read_contract(tmp_path) == contract


def test_any_yaml_reader_gets_plain_values(contract, tmp_path):
    write_contract(contract, tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    assert content["mean"] == [0.485, 0.456, 0.406]
    assert content["class_names"][:3] == ["yes", "null", "1"]
    assert (content["input"], content["layout"], content["channel_order"]) == ("float", "NCHW", "RGB")


NONSENSE = {
    "input": "int8",
    "layout": "NHWC",
    "channel_order": "BGR",
    "image_size": "big",
    "resize_size": 200,
    "interpolation": "magic",
    "resampling": "magic",
    "jpeg_reductions": [2],
    "crop": "random",
    "mean": [0.485, 0.456],
    "std": [0.229, 0.0, 0.225],
    "output": "poem",
    "dynamic_size": "sometimes",
    "sha256": {"inference.pdmodel": "0" * 64},
    "class_names": ["cat", 7],
}


@pytest.mark.parametrize("key", NONSENSE)
def test_nonsense_is_named(key, contract, tmp_path):
    write_contract(contract, tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    (tmp_path / FILE).write_text(yaml.safe_dump(content | {key: NONSENSE[key]}))
    with pytest.raises(UserError, match=f"{key} is "):
        read_contract(tmp_path)
    if key in OPTIONAL:
        return
    del content[key]
    (tmp_path / FILE).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=f"{key} is missing"):
        read_contract(tmp_path)


def test_a_key_added_later_may_be_missing(contract, tmp_path):
    write_contract(contract, tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    del content["dynamic_size"]
    (tmp_path / FILE).write_text(yaml.safe_dump(content))
    assert read_contract(tmp_path) == contract


def test_whose_pixels_is_kept_and_old_exports_are_pillows(contract, tmp_path):
    by_opencv = replace(contract, preprocessing=replace(contract.preprocessing, resampling="opencv"))
    write_contract(by_opencv, tmp_path)
    assert read_contract(tmp_path) == by_opencv
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    assert content["jpeg_reductions"] == []  # which a reader from before there was a choice refuses
    (tmp_path / FILE).write_text(yaml.safe_dump(content | {"jpeg_reductions": [8, 4, 2]}))
    with pytest.raises(UserError, match=r"jpeg_reductions is \[8, 4, 2\], but \[\] with opencv's pixels"):
        read_contract(tmp_path)
    write_contract(contract, tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    del content["resampling"]
    (tmp_path / FILE).write_text(yaml.safe_dump(content))
    assert read_contract(tmp_path) == contract


def test_features_have_no_class_names_and_classes_do(contract, tmp_path):
    for changed in (replace(contract, output="features"), replace(contract, class_names=())):
        write_contract(changed, tmp_path)
        with pytest.raises(UserError, match="class_names"):
            read_contract(tmp_path)
    write_contract(replace(contract, output="features", class_names=()), tmp_path)
    assert read_contract(tmp_path).class_names == ()


def test_the_files_tell_the_kind_of_graph(contract, tmp_path):
    assert contract.graph == "paddle"
    write_contract(replace(contract, sha256=dict.fromkeys(FILES["onnx"], "0" * 64)), tmp_path)
    assert read_contract(tmp_path).graph == "onnx"


def test_not_a_number_is_refused(contract, tmp_path):
    seen = replace(contract.preprocessing, mean=(float("nan"), 0.0, 0.0))
    write_contract(replace(contract, preprocessing=seen), tmp_path)
    with pytest.raises(UserError, match="mean is"):
        read_contract(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", "line 1: this is not YAML"),
        ("!!python/object/apply:os.getcwd []", "not YAML"),
        ("- a list", "no keys and values"),
        ("", "no keys and values"),
        ("format: 99", "format 99"),
        ("a: 2001-99-99", "not YAML"),
    ],
)
def test_files_that_are_no_contract(text, message, tmp_path):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=message):
        read_contract(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"inference\.yaml cannot be read"):
        read_contract(tmp_path)


def test_missing_and_changed_model_files(contract, tmp_path):
    with pytest.raises(UserError, match=r"inference\.pdmodel is missing"):
        verify_files(tmp_path, contract)
    for name in FILES["paddle"]:
        (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(UserError, match=r"inference\.pdmodel is damaged or of another export"):
        verify_files(tmp_path, contract)


@pytest.mark.parametrize("use", [read_contract, require_replaceable])
def test_a_directory_that_no_engine_could_open_is_refused(use, tmp_path):
    with pytest.raises(UserError, match=r"g\\xce\\xd2: this name is not UTF-8"):
        use(tmp_path / "g\udcce\udcd2")
