"""Weights and logits of other libraries' networks, in a process of the Python that has them.

Lines ``peer name size directory`` come in; for each a file of weights, as the library writes it, and ``logits.npz`` go
into the directory, and one line with what went wrong, or ``done``, goes out. ``check peer name file`` loads a state
dict of ours into a network of theirs and gives its logits.
"""

import importlib
import importlib.util
import logging
import os
import sys
import types
from pathlib import Path

import numpy as np
from values import CLASSES, images, value

CALMER = {"seresnext101_32x4d": 0.7}
CALMER |= dict.fromkeys(("efficientnet_b7", "tf_efficientnet_b7", "EfficientNetB6", "EfficientNetB7"), 0.9)
"""Factors of weights of networks whose logits grow so large that PyTorch's own are not exact in float32."""


def torch_network(peer, name):
    if peer == "torchvision":
        import torchvision

        return torchvision.models.get_model(name, weights=None, num_classes=CLASSES).eval()
    import timm

    return timm.create_model(name, num_classes=CLASSES).eval()


def make_torch(peer, name, size, directory):
    import torch
    from safetensors.torch import save_file

    network = torch_network(peer, name)
    state = network.state_dict()
    for key, tensor in state.items():
        if not key.endswith("num_batches_tracked"):
            factor = CALMER.get(name, 1) if tensor.ndim > 1 else 1
            tensor.copy_(torch.from_numpy(factor * value(key, tuple(tensor.shape))))
    torch.save(state, directory / "weights.pth")
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, directory / "weights.safetensors")
    with torch.no_grad():
        return network(torch.from_numpy(images(size))).numpy()


def check_torch(peer, name, size, directory):
    import torch

    network = torch_network(peer, name)
    network.load_state_dict(torch.load(directory / "ours.pth", weights_only=True))
    with torch.no_grad():
        return network(torch.from_numpy(images(size))).numpy()


def paddle_network(peer, name):
    if peer == "paddle_vision":
        import paddle

        return getattr(paddle.vision.models, name)(num_classes=CLASSES)
    sys.path.append(os.environ.get("IMGCLS_PEERS_SITE", ""))  # behind this environment's own packages
    found = importlib.util.find_spec("paddleclas")
    if found is None:
        raise ModuleNotFoundError("PaddleClas is not installed")
    root = Path(found.submodule_search_locations[0]) / "ppcls"
    for part in ("", ".arch", ".utils"):  # its networks alone, without what else it wants
        module = types.ModuleType(f"ppcls{part}")
        module.__path__ = [str(root / part[1:])]
        sys.modules[module.__name__] = module
    sys.modules["ppcls.utils"].logger = sys.modules["ppcls.utils.logger"] = logging.getLogger("ppcls")
    download = types.ModuleType("ppcls.utils.save_load")
    download.load_dygraph_pretrain = None
    sys.modules[download.__name__] = download
    return getattr(importlib.import_module("ppcls.arch.backbone"), name)(class_num=CLASSES)


def make_paddle(peer, name, size, directory):
    import paddle

    network = paddle_network(peer, name)
    network.eval()
    for key, tensor in network.state_dict().items():
        factor = CALMER.get(name, 1) if tensor.ndim > 1 else 1
        tensor.set_value((factor * value(key, tuple(tensor.shape))).astype(np.float32))
    paddle.save(network.state_dict(), str(directory / "weights.pdparams"))
    with paddle.no_grad():
        logits = network(paddle.to_tensor(images(size)))
    return (logits[0] if isinstance(logits, list | tuple) else logits).numpy()


def answer(words):
    checked = words[0] == "check"
    peer, name, size, directory = words[checked:]
    make = check_torch if checked else make_torch if peer in ("torchvision", "timm") else make_paddle
    try:
        logits = make(peer, name, int(size), Path(directory))
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    np.savez(Path(directory) / "logits.npz", logits=logits)
    return "done"


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for library in ("torchvision", "timm", "safetensors.torch"):  # once, for all the children
        if importlib.util.find_spec(library.partition(".")[0]) and importlib.util.find_spec("torch"):
            importlib.import_module(library)
    for line in sys.stdin:
        words = line.rstrip("\n").split("\t")
        read, write = os.pipe()
        process = os.fork()  # Paddle refuses a second network of the same names; and memory is given back
        if process == 0:
            os.write(write, answer(words).encode())
            os._exit(0)
        os.close(write)
        with open(read, "rb") as file:
            content = file.read().decode()
        os.waitpid(process, 0)
        print(content or "it died", file=out, flush=True)


if __name__ == "__main__":
    main()
