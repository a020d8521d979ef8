"""``imgcls.export`` as a user types it: from a run, from a file, and what it refuses."""

import shutil

import paddle
import pytest

from imgcls.deploy.contract import MODEL_FILES, read_contract, sha256
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
    assert contract.versions["paddle"] == "2.6.2"
    weights = (run_directory / "checkpoints" / "best").resolve() / "ema.pdparams"
    assert (contract.source, contract.source_sha256) == (str(weights), sha256(weights))
    loaded = paddle.jit.load(str(tmp_path / "served" / "inference"))
    stored = sorted(float(value.sum()) for value in load_pickle(weights).values())
    assert sorted(float(value.sum()) for value in loaded.state_dict().values()) == pytest.approx(stored, abs=1e-3)
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").iterdir())


def test_without_a_directory_it_goes_to_that_of_the_job(run_program, tmp_path):
    run_program("export", "run.name=out", "transform.size=96", "export.check=false", cwd=tmp_path)
    contract = read_contract(tmp_path / "outputs" / "out")
    assert (contract.image_size, contract.resize_size) == (96, 110)
    assert {path.name for path in (tmp_path / "outputs" / "out").iterdir()} == {*MODEL_FILES, "inference.yaml"}


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
