"""Clients that know ``inference.yaml`` only and cannot import imgcls give the bits of ``imgcls.predict``."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from locations import ROOT

from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.deploy.exporter import export
from imgcls.machine.cpu import inherited_environment

CLIENTS = ROOT / "scripts" / "clients"
EACH_OTHER_PAIR = (("float", "inference"), ("uint8", "jit"), ("opencv", "inference"))


def run_client(client, *arguments, cwd):
    """In isolated mode, away from the repository, without the environment that importing imgcls made here.

    Threads that the whole test run was given stay: with another number, BLAS adds in another order.
    """
    environment = inherited_environment()
    for name in ("MKL_DEBUG_CPU_TYPE", "PYTHONPATH"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-I", CLIENTS / "without_imgcls.py", CLIENTS / client, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def opencv_export(squeezenet, contract_for, tmp_path_factory):
    pytest.importorskip("cv2")
    contract = contract_for("uint8")
    seen = replace(contract.preprocessing, resampling="opencv", interpolation="cubic")
    directory = tmp_path_factory.mktemp("opencv") / "served"
    export(squeezenet, replace(contract, preprocessing=seen), directory)
    return directory


@pytest.mark.parametrize(
    ("kind", "engine"),
    [
        *(("float", "jit"), ("uint8", "inference"), ("opencv", "jit")),
        *(pytest.param(*one, marks=pytest.mark.full) for one in EACH_OTHER_PAIR),
    ],
)
def test_the_same_answers_to_the_bit(engine, kind, exports, photos, run_program, request, tmp_path):
    if kind == "opencv":
        exports = {kind: request.getfixturevalue("opencv_export")}
    pictures = [*sorted(photos.iterdir()), *sorted((SAMPLE_PHOTOS / "val" / "tool").iterdir())]
    told = run_client(f"{engine}_client.py", exports[kind], *pictures, "--topk", 7, cwd=tmp_path)
    # one picture at a time, as the client does: BLAS multiplies batches of other sizes in another order
    run_program(
        "predict",
        f"predict.source={exports[kind]}",
        f"predict.engine={engine}",
        f"predict.input=[{photos},{SAMPLE_PHOTOS / 'val' / 'tool'}]",
        "predict.topk=7",
        "predict.batch_size=1",
        "run.name=told",
        cwd=tmp_path,
    )
    predicted = (tmp_path / "outputs" / "told" / "predictions.jsonl").read_text()
    assert [json.loads(line)["path"] for line in told.splitlines()] == list(map(str, pictures))
    assert told == predicted


@pytest.mark.parametrize("kind", [pytest.param("float", marks=pytest.mark.full), "uint8"])
def test_openvino_needs_no_paddle(kind, exports, photos, run_program, tmp_path):
    """To the bit as well: one picture at a time, and the same kernels."""
    pytest.importorskip("openvino")
    (tmp_path / "nopaddle.py").write_text(NO_PADDLE)
    pictures = sorted(photos.iterdir())
    told = subprocess.run(
        [sys.executable, tmp_path / "nopaddle.py", CLIENTS / "openvino_client.py", exports[kind], *pictures],
        cwd=tmp_path,
        env=inherited_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    run_program(
        "predict",
        f"predict.source={exports[kind]}",
        "predict.engine=openvino",
        f"predict.input={photos}",
        "predict.batch_size=1",
        "run.name=told",
        cwd=tmp_path,
    )
    assert told == (tmp_path / "outputs" / "told" / "predictions.jsonl").read_text()


NO_PADDLE = """
import runpy, sys
sys.modules["paddle"] = sys.modules["imgcls"] = None  # which makes their import fail
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not any(name.startswith("paddle.") for name in sys.modules)
"""


def test_clients_are_short_and_need_no_more_than_they_say():
    needs = {
        "jit_client.py": {"paddle", "PIL"},
        "inference_client.py": {"paddle", "PIL"},
        "openvino_client.py": {"openvino"},
    }
    for client, packages in needs.items():
        text = (CLIENTS / client).read_text()
        assert len(text.splitlines()) < (60 if "paddle" not in packages else 85)
        imports = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
        own = {path.stem for path in (CLIENTS / "service").glob("*.py")}
        assert imports - sys.stdlib_module_names - own == {"numpy", *packages}
