"""Is there a Paddle that this library can run on? Asked once, before the first import of it."""

import contextlib
import io
import os
import sys
import warnings
from importlib import metadata

from imgcls.errors import UserError

WANTED = "2.6.2"
INSTALL = 'Install it with: pip install "imgcls[cpu]" (or "imgcls[gpu]" on a machine with CUDA).'


def require_paddle() -> None:
    """Import Paddle, or say what is wrong with the installation.

    Raises:
        UserError: Paddle is missing or of another line, or numpy or protobuf is too new for it.
    """
    if "paddle" in sys.modules:
        return
    version = _version("paddlepaddle") or _version("paddlepaddle-gpu")
    if version is None:
        raise UserError(f"PaddlePaddle is not installed. {INSTALL}")
    if version.split(".")[:2] != WANTED.split(".")[:2]:
        raise UserError(f"PaddlePaddle {version} is installed; imgcls is made for {WANTED}. {INSTALL}")
    _require_older("numpy", 2, "PaddlePaddle 2.6.2 fails to import beside numpy 2")
    _require_older("protobuf", 5, "paddle.distributed.fleet breaks under protobuf 5")
    os.environ.setdefault("GLOG_minloglevel", "2")  # errors only, not each executor's greeting
    # Paddle says so at every training forward pass of a batch norm; it is what everybody expects.
    warnings.filterwarnings("ignore", "When training, we now always track global mean and variance")
    with _without_thread_warning():
        import paddle  # noqa: F401


def gpu_count() -> int:
    """How many GPUs Paddle can use; 0 with a CPU build."""
    require_paddle()
    import paddle

    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def versions() -> str:
    """Versions of what numbers depend on, for the system line."""
    names = ("imgcls", "paddlepaddle", "paddlepaddle-gpu", "numpy", "pillow", "hydra-core")
    return ", ".join(f"{name} {version}" for name in names if (version := _version(name)))


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _require_older(distribution: str, major: int, reason: str) -> None:
    version = _version(distribution)
    if version and int(version.split(".")[0]) >= major:
        raise UserError(f'{distribution} {version} is too new: {reason}. Run: pip install "{distribution}<{major}"')


@contextlib.contextmanager
def _without_thread_warning():
    """Paddle warns of OMP_NUM_THREADS > 1 on import; here it is meant. Anything else it prints is passed on."""
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            yield
    finally:
        for line in captured.getvalue().splitlines():
            if "OMP_NUM_THREADS" not in line:
                print(line, file=sys.stderr)
