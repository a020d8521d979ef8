"""Which device a process computes on."""

import paddle

from imgcls.errors import UserError
from imgcls.installation import gpu_count


def select_device(gpus: int | None, deterministic: bool = False) -> str:
    """Make the wanted device Paddle's default and return its name.

    Args:
        gpus: ``None`` for a GPU if there is one, 0 for the CPU, otherwise how many are wanted.
        deterministic: the same bits on every run, at some cost on a GPU.

    Raises:
        UserError: more GPUs are wanted than there are.
    """
    available = gpu_count()
    if gpus is not None and gpus > available:
        build = "" if paddle.is_compiled_with_cuda() else " (this PaddlePaddle is a CPU build: install imgcls[gpu])"
        raise UserError(
            f"trainer.gpus={gpus}, but this machine has {available} usable GPUs{build}. Use trainer.gpus=0 for the CPU."
        )
    if deterministic and available:
        paddle.set_flags({"FLAGS_cudnn_deterministic": True, "FLAGS_embedding_deterministic": 1})
    return paddle.set_device("gpu" if available and gpus != 0 else "cpu")
