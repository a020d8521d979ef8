"""Every equal network, held to the other library's own package: ``bash scripts/test.sh --peers``."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from peers.cells import cells
from peers.values import CLASSES, images

from imgcls.models.registry import build_model, model_info
from imgcls.weights.load import load_pretrained
from imgcls.weights.peers.adopt import named_for_torch
from imgcls.weights.torch_file import write_torch

PYTHON = os.environ.get("IMGCLS_PEERS_PYTHON") or (sys.executable if importlib.util.find_spec("timm") else None)
TOLERANCE = 2e-5  # of the largest logit; random networks of a hundred layers enlarge what is rounded

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(PYTHON is None, reason="needs torchvision, timm and PaddleClas: bash scripts/test.sh --peers"),
]


@pytest.fixture(scope="module")
def ask():
    """``ask(words...)``: the logits that the other library gives; its files lie in the directory, the last word."""
    script = str(Path(__file__).with_name("make.py"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = {python: subprocess.Popen([python, script], **pipes) for python in {PYTHON, sys.executable}}

    def ask(*words):
        process = processes[PYTHON if {"torchvision", "timm"} & set(words) else sys.executable]
        process.stdin.write("\t".join(map(str, words)) + "\n")
        process.stdin.flush()
        said = process.stdout.readline().strip()
        assert said == "done", said
        with np.load(words[-1] / "logits.npz") as file:
            return file["logits"]

    yield ask
    for process in processes.values():
        process.stdin.close()
        process.wait()


def logits(network, size):
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(images(size))).numpy()


def difference(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize(
    ("peer", "name", "ours", "arguments", "size"), [pytest.param(*c, id=f"{c[0]}-{c[1]}") for c in cells()]
)
def test_equal_both_ways(ask, tmp_path, record_property, peer, name, ours, arguments, size):
    expected = ask(peer, name, size, tmp_path)
    worst = 0.0
    said = f"{peer}/{name}" if "efficientnet" in name and peer == "timm" else None
    for file in sorted(tmp_path.glob("weights.*")):
        network = build_model(ours, num_classes=CLASSES, **arguments)
        report = load_pretrained(network, model_info(ours), file, pretrained_from=said)
        assert report.peer
        worst = max(worst, difference(logits(network, size), expected))
        file.unlink()
    back = None
    if peer in ("torchvision", "timm"):
        write_torch(tmp_path / "ours.pth", named_for_torch(network, model_info(ours), peer)[0])
        back = difference(ask("check", peer, name, size, tmp_path), expected)
        (tmp_path / "ours.pth").unlink()
    if where := os.environ.get("IMGCLS_PEERS_FIGURES"):
        with contextlib.suppress(OSError), open(where, "a", encoding="utf-8") as file:
            print(peer, name, ours, f"{worst:.1e}", "-" if back is None else f"{back:.1e}", file=file)
    assert worst < TOLERANCE
    assert back is None or back < TOLERANCE
