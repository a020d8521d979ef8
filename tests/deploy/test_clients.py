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


@pytest.mark.parametrize("engine", ["jit", "inference"])
@pytest.mark.parametrize("kind", ["float", "uint8", "opencv"])
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


def test_clients_are_short_and_need_no_more_than_they_say():
    for client in ("jit_client.py", "inference_client.py"):
        text = (CLIENTS / client).read_text()
        assert len(text.splitlines()) < 76
        imports = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
        own = {path.stem for path in (CLIENTS / "service").glob("*.py")}
        assert imports - sys.stdlib_module_names - own == {"numpy", "paddle", "yaml", "PIL"}
