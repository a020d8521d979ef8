"""Which device a process computes on."""

import os

import paddle

from imgcls.errors import UserError
from imgcls.machine.installation import gpu_count

REPEATABLE = {"FLAGS_cudnn_deterministic": True, "FLAGS_embedding_deterministic": 1}
FOR_TRAINING = {"FLAGS_cudnn_exhaustive_search": True}
"""cuDNN tries its algorithms on each new shape, which takes seconds and pays for shapes that stay."""


def select_device(gpus: int | None, deterministic: bool = False, training: bool = False) -> str:
    """Make the wanted device Paddle's default and return its name.

    Args:
        gpus: ``None`` for a GPU if there is one, 0 for the CPU, otherwise how many are wanted.
        deterministic: the same bits on every run, at some cost on a GPU.
        training: many batches of one shape will come; let a GPU look for its fastest algorithms. Paddle's
            variables in the environment win.

    Raises:
        UserError: more GPUs are wanted than there are.
    """
    available = gpu_count()
    if gpus is not None and gpus > available:
        build = (
            "" if paddle.is_compiled_with_cuda() else " (this PaddlePaddle is a CPU build; see python -m imgcls.doctor)"
        )
        raise UserError(
            f"trainer.gpus={gpus}, but this machine has {available} usable GPUs{build}. Use trainer.gpus=0 for the CPU."
        )
    on_gpu = available and gpus != 0
    if on_gpu and deterministic:
        paddle.set_flags(REPEATABLE)
    elif on_gpu and training:
        paddle.set_flags({flag: value for flag, value in FOR_TRAINING.items() if flag not in os.environ})
    return paddle.set_device("gpu" if on_gpu else "cpu")
