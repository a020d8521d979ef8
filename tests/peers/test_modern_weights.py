"""Files that timm itself wrote for the modern networks, ours back in timm, and the gradients of both.

``bash scripts/test.sh --peers`` runs them.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import paddle
import pytest
from peers.values import CLASSES, given, images

from imgcls.models.registry import build_model, model_info
from imgcls.weights.load import load_pretrained
from imgcls.weights.peers.adopt import named_for_torch
from imgcls.weights.safetensors_file import write_safetensors

PYTHON = os.environ.get("IMGCLS_PEERS_PYTHON")
CASES = [
    ("deit_tiny_patch16_224", 224),
    ("deit3_small_patch16_224", 224),
    ("swin_tiny_patch4_window7_224", 224),
    ("swinv2_tiny_window8_256", 256),
    ("convnext_atto", 64),
    ("convnextv2_atto", 64),
    ("efficientnetv2_s", 64),
    ("mobilenetv4_conv_small_050", 64),
    ("regnetx_002", 64),
    ("mobilenetv3_small_100", 64),
    ("repvgg_a0", 64),
    ("repvgg_b1g4:deploy", 64),
    ("efficientnet_v2_s:torchvision", 64),
    ("efficientnet_v2_m:torchvision", 64),
    ("efficientnet_v2_l:torchvision", 64),
]


@pytest.mark.full
@pytest.mark.skipif(PYTHON is None, reason="needs timm: bash scripts/test.sh --peers")
@pytest.mark.parametrize(("name", "side"), CASES)
def test_equal_both_ways(tmp_path, name, side):
    def timm(*files):
        script = Path(__file__).with_name("write_modern.py")
        subprocess.run([PYTHON, str(script), str(tmp_path), case, str(side), *map(str, files)], check=True)
        return np.load(tmp_path / "logits.npy")

    case, (name, _, form) = name, name.partition(":")
    peer = form if form == "torchvision" else "timm"
    name = name.replace("net_v2", "netv2") if peer == "torchvision" else name
    deploy = {"deploy": True} if form == "deploy" else {}
    expected = timm()
    for file in ("weights.pth", "weights.safetensors"):
        network = build_model(name, num_classes=CLASSES, **deploy)
        report = load_pretrained(
            network, model_info(name), tmp_path / file, pretrained_from=f"timm/{name}" if peer == "timm" else None
        )
        assert report.peer == peer
        network.eval()
        with paddle.no_grad():
            logits = network(paddle.to_tensor(images(side))).numpy()
        difference = np.abs(logits - expected).max() / np.abs(expected).max()
        print(f"{case}: {difference:.1e}")
        assert difference <= 1e-5
    _require_gradients(network, name, side, peer, dict(np.load(tmp_path / "gradients.npz")))
    write_safetensors(tmp_path / "ours.safetensors", named_for_torch(network, model_info(name), peer)[0], {})
    back = timm(tmp_path / "ours.safetensors")
    if peer == "torchvision":  # another epsilon, folded and unfolded
        assert np.abs(back - expected).max() <= 1e-5 * np.abs(expected).max()
    else:
        assert np.array_equal(back, expected)


def _require_gradients(network, name, side, peer, expected):
    """Of every parameter, under the names and in the shapes of the peer, and of the images; the network stays."""
    if peer == "torchvision":  # whose batch norms have another epsilon, which the file's reader folds into others
        return
    pictures = paddle.to_tensor(images(side), stop_gradient=False)
    logits = network(pictures)
    paddle.autograd.backward([logits], [paddle.to_tensor(given(logits.shape))])
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.set_value(parameter.grad)
    found = named_for_torch(network, model_info(name), peer)[0] | {"images": pictures.grad.numpy()}
    network.set_state_dict(before)
    assert len(expected) > 20
    for key, gradient in expected.items():
        np.testing.assert_allclose(found[key].reshape(gradient.shape), gradient, atol=1e-4 * np.abs(gradient).max())
