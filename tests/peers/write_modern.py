"""A modern network of timm's with random weights: its file, logits of ``values.images``, and whether it takes ours.

    <python with timm> tests/peers/write_modern.py directory name[:form] side [file of ours]

The form ``deploy`` is what timm fuses its network to; with ``torchvision`` it is torchvision's network of that name.

The weights are those of ``rule.py``, under which signals keep their size: with noise on timm's own initial values those
of EfficientNetV2-S grow to 30,000, and PyTorch's own logits in float32 and in float64 differ by a third of their size.

Writes ``weights.pth``, ``weights.safetensors``, ``logits.npy`` and ``gradients.npz``, of the parameters, and of the
images as ``images``, for ``values.given``; of a file of ours the logits alone.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from timm.utils import reparameterize_model

sys.path.insert(0, str(Path(__file__).parent))

from rule import gain, value
from values import CLASSES, given, images

IGNORED = ("num_batches_tracked",)


def main() -> None:
    directory, name, side, *ours = sys.argv[1:]
    name, _, form = name.partition(":")
    options = {"img_size": int(side)} if name.startswith(("vit_", "deit")) else {}
    if form == "torchvision":
        network = torchvision.models.get_model(name, num_classes=CLASSES).eval()
    else:
        network = timm.create_model(name, num_classes=CLASSES, **options).eval()
    if not ours:
        state = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith(IGNORED)}
        values = {
            key: torch.from_numpy(value(key, tensor.shape, gain(name.replace("_v2", "v2"))))
            for key, tensor in state.items()
        }
        network.load_state_dict(values, strict=False)
    if form == "deploy":
        network = reparameterize_model(network)
    if ours:
        network.load_state_dict(load_file(ours[0]))
    else:
        torch.save(network.state_dict(), Path(directory) / "weights.pth")
        save_file(network.state_dict(), Path(directory) / "weights.safetensors")
    pictures = torch.from_numpy(images(int(side))).requires_grad_(True)
    logits = network(pictures)
    np.save(Path(directory) / "logits.npy", logits.detach().numpy())
    if not ours:
        logits.backward(torch.from_numpy(given(logits.shape)))
        tensors = {"images": pictures, **dict(network.named_parameters())}
        gradients = {key: tensor.grad.numpy() for key, tensor in tensors.items() if tensor.grad is not None}
        np.savez(Path(directory) / "gradients.npz", **gradients)


main()
