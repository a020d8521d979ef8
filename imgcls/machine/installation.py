"""Is there a Paddle that this library can run on? Asked once, before the first import of it."""

import contextlib
import gc
import io
import os
import sys
import warnings
from dataclasses import dataclass
from importlib import metadata

from imgcls.errors import UserError
from imgcls.machine.signals import held_back

INSTALL = 'Install it with: pip install "imgcls[cpu]" (or "imgcls[gpu]" on a machine with CUDA).'
DISTRIBUTIONS = ("paddlepaddle", "paddlepaddle-gpu")

in_program = False
"""Whether this process is a program's alone: all that is there once Paddle is loaded then stays to its end."""

Version = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """A line of releases of Paddle that the tests of this library have passed on.

    Args:
        tried: the release they passed on.
        until: the first version that is no longer of this line.
        python_until: the first Python without a wheel of it.
        numpy_until, numpy_reason: the first version of numpy that it fails beside, and how.
        protobuf_until, protobuf_reason: the same of protobuf; ``None`` where any will do.
        extra: what installs it for the CPU.
    """

    tried: str
    until: Version
    python_until: Version
    numpy_until: Version
    numpy_reason: str
    protobuf_until: Version | None
    protobuf_reason: str
    extra: str

    def has(self, version: str) -> bool:
        """Whether a release is of this line: not older than the minor version that was tried."""
        return numbers(self.tried)[:2] <= numbers(version) < self.until


PADDLE_2 = Line(
    tried="2.6.2",
    until=(2, 7),
    python_until=(3, 13),
    numpy_until=(2,),
    numpy_reason="PaddlePaddle 2.6.2 fails to import beside numpy 2",
    protobuf_until=(5,),
    protobuf_reason="paddle.distributed.fleet of PaddlePaddle 2.6.2 breaks under protobuf 5",
    extra="cpu",
)
PADDLE_3 = Line(
    tried="3.3.1",
    until=(4,),
    python_until=(3, 14),
    numpy_until=(2, 4),
    numpy_reason="the loss scaler of PaddlePaddle 3.3.1 fails beside numpy 2.4",
    protobuf_until=None,
    protobuf_reason="",
    extra="cpu3",
)
LINES = (PADDLE_2, PADDLE_3)


def require_paddle() -> None:
    """Import Paddle, or say what is wrong with the installation.

    Raises:
        UserError: Paddle is missing or of another line, or numpy or protobuf is too new for it.
    """
    if "paddle" in sys.modules:
        return
    require_companions(require_line())
    os.environ.setdefault("GLOG_minloglevel", "2")  # errors only, not each executor's greeting
    # Paddle says so at every training forward pass of a batch norm; it is what everybody expects.
    warnings.filterwarnings("ignore", "When training, we now always track global mean and variance")
    # Paddle 3 looks for a compiler's cache at every import; nothing here is compiled.
    warnings.filterwarnings("ignore", "No ccache found", UserWarning)
    with held_back(), _without_thread_warning(), _without_collections():
        import paddle  # noqa: F401


def require_line() -> Line:
    """The line of the Paddle that is installed, without importing it.

    Raises:
        UserError: there is none, or none of ``LINES``.
    """
    version = paddle_version()
    if version is None:
        raise UserError(f"PaddlePaddle is not installed. {INSTALL}")
    for line in LINES:
        if line.has(version):
            return line
    raise UserError(
        f"PaddlePaddle {version} is installed; imgcls is made for {PADDLE_2.tried} and for {PADDLE_3.tried} or a later "
        f'3.x. {INSTALL} "imgcls[{PADDLE_3.extra}]" brings {PADDLE_3.tried}. python -m imgcls.doctor says what this '
        "machine needs."
    )


def require_companions(line: Line) -> None:
    """numpy and protobuf that a line of Paddle runs beside.

    Raises:
        UserError: one is too new.
    """
    _require_older("numpy", line.numpy_until, line.numpy_reason)
    if line.protobuf_until:
        _require_older("protobuf", line.protobuf_until, line.protobuf_reason)


def paddle_version() -> str | None:
    """Of the Paddle that is installed, without importing it."""
    return next(filter(None, map(version_of, DISTRIBUTIONS)), None)


def gpu_count() -> int:
    """How many GPUs Paddle can use; 0 with a CPU build."""
    require_paddle()
    import paddle

    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def versions() -> str:
    """Versions of what numbers depend on, for the system line."""
    names = ("imgcls", *DISTRIBUTIONS, "numpy", "pillow", "hydra-core")
    return ", ".join(f"{name} {version}" for name in names if (version := version_of(name)))


def version_of(distribution: str) -> str | None:
    """Of an installed distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> Version:
    """The numbers a version begins with: ``3.3.1.post120`` is ``(3, 3, 1)``."""
    found = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found += [int(digits)] if digits else []
        if digits != part:
            break
    return tuple(found)


def _require_older(distribution: str, until: Version, reason: str) -> None:
    version = version_of(distribution)
    if version and numbers(version) >= until:
        below = ".".join(map(str, until))
        raise UserError(f'{distribution} {version} is too new: {reason}. Run: pip install "{distribution}<{below}"')


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


@contextlib.contextmanager
def _without_collections():
    """Paddle makes hundreds of thousands of objects, and nearly all stay: none is looked at for garbage meanwhile.

    In a program none is later either, nor one by one at its end; that took a quarter of a short command.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if in_program:
            gc.freeze()
        if collects:
            gc.enable()
