"""What the sources of the modern networks answer to the reference's images, with the weights of ``rule.py``.

Run by the interpreter that has the source's package:

    <python with timm> tests/peers/source_logits.py out.npz convnext_atto@64 swin_tiny_patch4_window7_224@64,2
    <python with paddleclas> tests/peers/source_logits.py --paddleclas out.npz pplcnet_x0_25@64

A case is a name and the side of the images, and for Swin that of the windows. The file holds the logits
``[2, classes]`` of each case and, as ``<case>.names`` and ``<case>.shapes``, the state dict's keys and shapes. With
``--few`` it holds every tenth logit alone: so ``tests/reference/modern.npz`` was made. With ``--serve`` lines of a
file and a case, a tab between them, come in, and a line with ``done`` or what went wrong goes out for each.
"""

import importlib
import os
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "reference")]

from rule import gain, value  # noqa: E402
from weights import make_input  # noqa: E402

IGNORED = ("num_batches_tracked", "relative_position_index", "relative_coords_table", "attn_mask")


def timm_logits(name: str, size: int, window: int | None) -> tuple[np.ndarray, dict]:
    import timm
    import torch

    options = {"img_size": size} if name.startswith(("vit_", "deit", "swin")) else {}
    if window:
        options["window_size"] = window
    if "dinov2" in name:
        options["num_classes"] = 1000
    network = timm.create_model(name, **options).eval()
    state = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith(IGNORED)}
    network.load_state_dict(
        {key: torch.from_numpy(value(key, tensor.shape, gain(name))) for key, tensor in state.items()}, False
    )
    with torch.no_grad():
        return network(torch.from_numpy(make_input(size))).numpy(), state


def paddleclas_logits(name: str, size: int, window: None) -> tuple[np.ndarray, dict]:
    import paddle
    from paddleclas_networks import build

    network = build(name)
    network.eval()
    state = network.state_dict()
    for key, tensor in state.items():
        tensor.set_value(value(key, tensor.shape, gain(name)))
    with paddle.no_grad():
        return network(paddle.to_tensor(make_input(size))).numpy(), state


def write(out, cases, answer, few) -> None:
    found = {}
    for case in cases:
        name, _, numbers = case.partition("@")
        size, window = [*map(int, numbers.split(",")), None][:2]
        logits, state = answer(name, size, window)
        if few:
            found[case] = logits[:, ::10]
            continue
        found[case] = logits
        found[f"{case}.names"] = np.array(list(state))
        found[f"{case}.shapes"] = np.array([" ".join(map(str, tensor.shape)) for tensor in state.values()])
        print(case, file=sys.stderr, flush=True)
    np.savez_compressed(out, **found)


def serve(answer) -> None:
    """Each case in a fork of this process, which has loaded the source's packages once."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    if answer is timm_logits:
        importlib.import_module("timm")
    for line in sys.stdin:
        file, case = line.rstrip("\n").split("\t")
        process = os.fork()
        if process == 0:
            status = 1
            try:
                write(file, [case], answer, few=False)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(process, 0)
        print("done" if status == 0 else f"{case}: status {status}", file=out, flush=True)


def main() -> None:
    options = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    answer = paddleclas_logits if "--paddleclas" in options else timm_logits
    if "--serve" in options:
        serve(answer)
        return
    out, *cases = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    write(out, cases, answer, few="--few" in options)


if __name__ == "__main__":
    main()
