"""A modern network of timm's with random weights: its file, logits of ``values.images``, and whether it takes ours.

    <python with timm> tests/peers/write_modern.py directory name side [file of ours]

Writes ``weights.pth``, ``weights.safetensors`` and ``logits.npy``; of a file of ours the logits alone.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))

from values import CLASSES, images


def main() -> None:
    directory, name, side, *ours = sys.argv[1:]
    torch.manual_seed(0)
    options = {"img_size": int(side)} if name.startswith(("vit_", "deit")) else {}
    network = timm.create_model(name, num_classes=CLASSES, **options).eval()
    if ours:
        network.load_state_dict(load_file(ours[0]))
    else:
        for tensor in network.parameters():
            tensor.data += 0.02 * torch.randn_like(tensor)
        torch.save(network.state_dict(), Path(directory) / "weights.pth")
        save_file(network.state_dict(), Path(directory) / "weights.safetensors")
    with torch.no_grad():
        np.save(Path(directory) / "logits.npy", network(torch.from_numpy(images(int(side)))).numpy())


main()
