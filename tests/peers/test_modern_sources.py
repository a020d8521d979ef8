"""Every modern network against its source's own package: the same names, and logits within 1e-5.

``scripts/test.sh --peers`` runs it; IMGCLS_PEERS_PYTHON is an interpreter that has timm and torch, in
IMGCLS_PEERS_SITE PaddleClas lies, for this environment's own interpreter.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from locations import ROOT

sys.path.append(str(ROOT / "tests" / "models"))

from modern import NAMES, arguments, case, fill, from_paddle, source_shapes
from rule import gain
from weights import make_input

import imgcls

PYTHON = os.environ.get("IMGCLS_PEERS_PYTHON")
SCRIPT = Path(__file__).with_name("source_logits.py")
WINDOWS = {"swin_": ",2", "swinv2_": ",4"}
SIDES = {"dinov2": 56}


def case_of(name: str) -> str:
    side = next((side for part, side in SIDES.items() if part in name), 64)
    return f"{name}@{side}{next((window for start, window in WINDOWS.items() if name.startswith(start)), '')}"


@pytest.fixture(scope="module")
def timm():
    """``timm(file, case)`` writes what ``source_logits.py`` does; one process has loaded torch for all of them."""
    command = [PYTHON, str(SCRIPT), "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(file, case):
            process.stdin.write(f"{file}\t{case}\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == "done"

        yield ask
        process.stdin.close()


@pytest.mark.full
@pytest.mark.skipif(PYTHON is None, reason="IMGCLS_PEERS_PYTHON names no interpreter with the peers' packages")
@pytest.mark.parametrize("name", NAMES)
def test_equal_to_its_source(name, tmp_path, request):
    text, file = case_of(name), tmp_path / "logits.npz"
    if from_paddle(name):
        subprocess.run([sys.executable, str(SCRIPT), "--paddleclas", str(file), text], check=True)  # it has Paddle
    else:
        request.getfixturevalue("timm")(file, text)
    theirs = np.load(file)
    shapes = [tuple(map(int, line.split())) for line in theirs[f"{text}.shapes"].tolist()]
    shapes = dict(zip(theirs[f"{text}.names"].tolist(), shapes, strict=True))
    _, side, options = case(text)
    network = imgcls.create_model(name, **arguments(name, side), **options)
    ours = source_shapes(network, not from_paddle(name))
    # what PP-LCNetV2 has beside its branches is the place of their sum, which its own training leaves as it was
    left_over = {key for key in shapes if ".dw_conv." in key and ".bn." not in key and ".conv." not in key}
    assert set(ours) == set(shapes) - left_over
    fill(network, shapes, not from_paddle(name), gain(name))
    with paddle.no_grad():
        logits = network(paddle.to_tensor(make_input(side))).numpy()
    difference = np.abs(logits - theirs[text]).max() / np.abs(theirs[text]).max()
    print(f"{name}: {difference:.1e}")
    assert difference <= 1e-5
