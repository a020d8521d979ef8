"""``imgcls.export`` as a user types it: from a run, from a file, and what it refuses."""

import importlib.util
import shutil

import numpy as np
import paddle
import pytest
from paddles import MODEL_FILES

from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.deploy.contract import read_contract
from imgcls.machine.files import sha256
from imgcls.weights.safe_pickle import load_pickle

USER_ERROR = 2


def test_a_run_with_averaged_weights(run_directory, run_program, tmp_path):
    arguments = (f"export.source={run_directory}", "export.weights=ema", "export.dir=served", "export.input=uint8")
    result = run_program("export", *arguments, cwd=tmp_path)
    assert "largest difference from the network under jit" in result.stderr
    assert "largest difference from the network under inference" in result.stderr
    contract = read_contract(tmp_path / "served")
    assert contract.class_names == ("fish", "land_animal", "monument", "renewable", "tool")
    assert (contract.model, contract.input, contract.output) == ("squeezenet1_1", "uint8", "probabilities")
    assert contract.versions["paddle"] == paddle.__version__
    weights = (run_directory / "checkpoints" / "best").resolve() / "ema.pdparams"
    assert (contract.source, contract.source_sha256) == (str(weights), sha256(weights))
    loaded = paddle.jit.load(str(tmp_path / "served" / "inference"))
    stored = sorted(float(value.sum()) for value in load_pickle(weights).values())
    assert sorted(float(value.sum()) for value in loaded.state_dict().values()) == pytest.approx(stored, abs=1e-3)
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").iterdir())


def test_without_a_directory_it_goes_to_that_of_the_job(run_program, tmp_path):
    run_program("export", "run.name=out", "transform.size=96", "export.check=false", cwd=tmp_path)
    contract = read_contract(tmp_path / "outputs" / "out")
    assert (contract.preprocessing.size, contract.preprocessing.resize_size) == (96, 110)
    assert {path.name for path in (tmp_path / "outputs" / "out").iterdir()} == {*MODEL_FILES, "inference.yaml"}


def test_features_of_any_size(run_program, tmp_path):
    arguments = ("export.output=features", "export.dynamic_size=true", "export.dir=served", "transform.size=96")
    run_program("export", *arguments, cwd=tmp_path)
    contract = read_contract(tmp_path / "served")
    assert (contract.output, contract.dynamic_size, contract.class_names) == ("features", True, ())
    photo = SAMPLE_PHOTOS / "val" / "tool" / "wrench.jpg"
    arguments = ("predict.source=served", f"predict.input={photo}", "run.name=told")
    run_program("predict", *arguments, "predict.output=features", cwd=tmp_path)
    with np.load(tmp_path / "outputs" / "told" / "features.npz") as content:
        assert content["features"].shape == (1, 512)
    result = run_program("predict", *arguments, cwd=tmp_path, check=False)
    assert result.returncode == USER_ERROR
    assert "gives features, not classes. Set predict.output=features" in result.stderr


@pytest.mark.skipif(importlib.util.find_spec("paddle2onnx") is None, reason="the extra imgcls[onnx] is not installed")
def test_onnx_and_predictions_with_it(run_program, tmp_path):
    run_program("export", "export.format=onnx", "export.dir=served", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["inference.onnx", "inference.yaml"]
    assert read_contract(tmp_path / "served").versions["onnx_opset"] == "14"
    photo = SAMPLE_PHOTOS / "val" / "land_animal" / "tabby_cat.jpg"
    result = run_program("predict", "predict.source=served", f"predict.input={photo}", cwd=tmp_path)
    assert "tabby, tabby cat" in result.stdout


@pytest.mark.skipif(importlib.util.find_spec("paddle2onnx") is not None, reason="the extra imgcls[onnx] is installed")
def test_onnx_without_its_packages(run_program, tmp_path):
    message = refused(run_program, tmp_path, "export.format=onnx", "export.dir=served")
    assert 'ONNX needs the package paddle2onnx. Install it with: pip install "imgcls[onnx' in message
    assert not (tmp_path / "served").exists()


def refused(run_program, cwd, *arguments) -> str:
    result = run_program("export", *arguments, cwd=cwd, check=False)
    assert result.returncode == USER_ERROR, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_network_without_weights(run_program, tmp_path):
    assert "its answers would be noise" in refused(run_program, tmp_path, "model=resnet18")
    message = refused(run_program, tmp_path, "model.num_classes=7")
    assert "does not fill squeezenet1_1 with 7 classes" in message


def test_a_torn_checkpoint(run_directory, run_program, tmp_path):
    shutil.copytree(run_directory, tmp_path / "torn", symlinks=True)
    weights = tmp_path / "torn" / "checkpoints" / "best" / "network.pdparams"
    weights.write_bytes(weights.read_bytes()[:-1000])
    message = refused(run_program, tmp_path, "export.source=torn", "export.dir=served")
    assert "network.pdparams is damaged" in message
    assert not (tmp_path / "served").exists()


def test_a_directory_with_other_content(run_program, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert "mine is left alone: it holds notes.txt" in refused(run_program, tmp_path, "export.dir=mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
