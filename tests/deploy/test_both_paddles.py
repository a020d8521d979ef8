"""Exports of one line of Paddle under the other: read where it can be, refused in words where it cannot.

``tests/reference/exports`` holds one network as each of the two wrote it, and its logits.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from locations import REFERENCE, ROOT
from paddles import ON_PADDLE_3

import imgcls
from imgcls.deploy import compatible
from imgcls.deploy.contract import read_contract
from imgcls.deploy.engines import inference, jit
from imgcls.deploy.operators import Refused, check_model, check_reader
from imgcls.deploy.predictor import open_export
from imgcls.errors import UserError
from imgcls.weights.source import read_weights

EXPORTS = REFERENCE / "exports"
OF_2, OF_3 = EXPORTS / "paddle2", EXPORTS / "paddle3"
OWN, OTHER = (OF_3, OF_2) if ON_PADDLE_3 else (OF_2, OF_3)
CLIENTS = ROOT / "scripts" / "clients"
PHOTO = ROOT / "imgcls" / "assets" / "sample_photos" / "val" / "tool" / "wrench.jpg"
CRASHES = "inference.json is a program of PaddlePaddle 3, and PaddlePaddle 2.6.2 is installed, which crashes on it"
NOT_BY_JIT = "inference.pdmodel is a program of PaddlePaddle 2, which paddle.jit.load of 3"
on_2 = pytest.mark.skipif(ON_PADDLE_3, reason="what PaddlePaddle 2 refuses")
on_3 = pytest.mark.skipif(not ON_PADDLE_3, reason="what PaddlePaddle 3 reads")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Those that ``tinynet.py`` made the logits from."""
    return np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.loadtxt(EXPORTS / "logits.txt", dtype=np.float32)


@pytest.mark.parametrize("engine", ["jit", "inference"])
def test_its_own(engine, images, logits):
    np.testing.assert_allclose(open_export(OWN, engine).logits(images), logits, rtol=1e-5, atol=1e-5)


def test_who_wrote_it():
    assert read_contract(OF_2).writer == "PaddlePaddle 2.6.2"
    assert read_contract(OF_3).writer == "PaddlePaddle 3.3.1"
    assert (read_contract(OF_2).graph, read_contract(OF_3).graph) == ("paddle", "pir")


@on_2
@pytest.mark.parametrize("engine", [None, "jit", "inference"])
def test_two_refuses_a_program_of_three(engine):
    with pytest.raises(
        UserError, match=rf"written with PaddlePaddle 3\.3\.1, cannot be used here: {CRASHES}"
    ) as refusal:
        imgcls.load_predictor(OF_3, engine=engine)
    assert "python -m imgcls.export export.source=" in str(refusal.value)


@on_2
@pytest.mark.parametrize("run", [jit, inference])
def test_so_do_the_engines_themselves(run):
    with pytest.raises(UserError, match=CRASHES):
        run(OF_3)


@on_3
def test_three_reads_a_program_of_two(images, logits):
    np.testing.assert_allclose(open_export(OF_2).logits(images), logits, rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match=rf"written with PaddlePaddle 2\.6\.2, cannot be used here: {NOT_BY_JIT}"):
        open_export(OF_2, "jit")


def test_predict_says_so_before_paddle_is_loaded(monkeypatch):
    monkeypatch.setattr(compatible, "paddle_version", lambda: "2.6.2")
    with pytest.raises(UserError, match=CRASHES):
        compatible.require_reader_of(OF_3)
    monkeypatch.setattr(compatible, "paddle_version", lambda: "3.3.1")
    with pytest.raises(UserError, match=NOT_BY_JIT):
        compatible.require_reader_of(OF_2, "jit")
    compatible.require_reader_of(OF_2)
    compatible.require_reader_of("outputs/no_export")
    monkeypatch.setattr(compatible, "paddle_version", lambda: None)  # which is said elsewhere
    compatible.require_reader_of(OF_3)


def test_the_predict_command(run_program, tmp_path):
    words = (f"predict.source={OTHER}", f"predict.input={PHOTO}", "predict.engine=jit")
    result = run_program("predict", *words, cwd=tmp_path, check=False)
    assert result.returncode != 0
    assert (NOT_BY_JIT if ON_PADDLE_3 else CRASHES) in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").glob("*/*"))


@pytest.mark.parametrize("client", ["jit_client.py", "inference_client.py", "service"])
def test_clients(client, tmp_path):
    if client == "service" and importlib.util.find_spec("uvicorn") is None:
        pytest.skip("the service needs the extra serve")
    if ON_PADDLE_3 and client != "jit_client.py":
        pytest.skip("PaddlePaddle 3 reads it")
    words = [str(OTHER)] if client == "service" else [str(OTHER), str(PHOTO)]
    command = [sys.executable, "-I", str(CLIENTS / "without_imgcls.py"), str(CLIENTS / client), *words]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert (NOT_BY_JIT if ON_PADDLE_3 else CRASHES) in result.stderr
    assert "Traceback" not in result.stderr


@on_3
def test_a_client_on_three_reads_both_and_prints_answers_alone(tmp_path):
    command = [sys.executable, "-I", str(CLIENTS / "without_imgcls.py"), str(CLIENTS / "inference_client.py")]
    told = [
        subprocess.run([*command, str(directory), str(PHOTO)], cwd=tmp_path, capture_output=True, text=True, check=True)
        for directory in (OF_2, OF_3)
    ]
    assert all(len(answer.stdout.splitlines()) == 1 for answer in told)
    first, second = (json.loads(answer.stdout)["top"] for answer in told)
    assert [each["name"] for each in first] == [each["name"] for each in second]
    assert [each["score"] for each in first] == pytest.approx([each["score"] for each in second], rel=1e-4)
    assert "ccache" not in told[0].stderr


def test_weights_of_both():
    """Names and values lie in the same order in both."""
    of_2, of_3 = (read_weights(directory).arrays for directory in (OF_2, OF_3))
    assert of_2.keys() == of_3.keys()
    assert len(of_2) == 8
    assert all(np.array_equal(of_2[name], of_3[name]) for name in of_2)


def test_the_other_is_exported_again(run_program, tmp_path, images, logits):
    """Under its own name, with its classes and as it sees images, and whatever the command says instead."""
    shutil.copy(EXPORTS / "tinynet.py", tmp_path / "tinynet.py")
    words = ("imports=tinynet", f"export.source={OTHER}")
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    run_program("export", *words, "export.dir=again", cwd=tmp_path, **environment)
    contract = read_contract(tmp_path / "again")
    assert (contract.model, contract.class_names) == ("tinynetofboth", ("red", "green", "blue"))
    assert contract.preprocessing == read_contract(OTHER).preprocessing
    assert contract.writer == f"PaddlePaddle {paddle.__version__}"
    found = open_export(tmp_path / "again").logits(images)
    np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-5)
    without = run_program("export", f"export.source={OTHER}", "export.dir=other", cwd=tmp_path, check=False)
    assert "the network tinynetofboth, which is not known here" in without.stderr
    wrong = run_program("export", *words, "model=alexnet", "export.dir=x", cwd=tmp_path, check=False, **environment)
    assert "model=alexnet: " in wrong.stderr
    assert "is an export of tinynetofboth" in wrong.stderr


def test_what_cannot_be_exported_again(tmp_path):
    from imgcls.app.exported import merge_export

    copy = shutil.copytree(OWN, tmp_path / "export")
    text = yaml.safe_load((copy / "inference.yaml").read_text())
    (copy / "inference.yaml").write_text(yaml.safe_dump({**text, "output": "features", "class_names": []}))
    with pytest.raises(UserError, match="gives features: it has no last layer"):
        merge_export(None, str(copy), [])


def test_one_program_to_an_export(tmp_path):
    """A harmless file beside another that is loaded."""
    for beside in ("inference.onnx", "inference.json", "inference.pdmodel"):
        both = shutil.copytree(OF_2, tmp_path / beside)
        shutil.copy(OF_3 / "inference.json", both / beside)
        if beside == "inference.pdmodel":
            shutil.copy(OF_3 / "inference.json", both)
        with pytest.raises(Refused, match=r"there are inference.* and inference.*, and an export has one of them"):
            check_model(both)
    more = shutil.copytree(OF_3, tmp_path / "more")
    shutil.copy(OF_3 / "inference.json", more / "inference.more.json")
    with pytest.raises(Refused, match=r"inference\.more\.json, which Paddle would load too"):
        check_model(more)


@pytest.mark.parametrize(
    ("directory", "version"), [(OF_2, "2.6.2"), (OF_2, "3.3.1"), (OF_3, "3.3.1"), (OF_3, "3.10.0")]
)
def test_what_can_be_read(directory: Path, version):
    check_reader(directory, version)
