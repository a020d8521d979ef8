"""Whether the Paddle of this machine can load what another one has exported, asked before it tries."""

from pathlib import Path

from imgcls.deploy.contract import NAME, is_export, read_contract
from imgcls.deploy.operators import Refused, check_reader
from imgcls.errors import UserError
from imgcls.machine.installation import paddle_version


def require_reader_of(source: str | Path, engine: str | None = None) -> None:
    """Refuse an export that cannot be used here; anything else that a source can be passes.

    Args:
        engine: a key of ``engines.ENGINES``; the fastest when left out.

    Raises:
        UserError: naming the Paddle that wrote it, and what can be done; or ``inference.yaml`` makes no sense.
    """
    if is_export(source):
        require_reader(source, jit=engine == "jit", writer=read_contract(source).writer)


def require_reader(directory: str | Path, jit: bool = False, writer: str = "") -> None:
    """Refuse a program that this Paddle cannot load.

    Args:
        jit: by ``paddle.jit.load``.
        writer: the Paddle that wrote it, in words.

    Raises:
        UserError: saying what can be done.
    """
    version = paddle_version()
    if version is None:  # which ``require_paddle`` says
        return
    try:
        check_reader(directory, version, jit=jit, name=NAME)
    except Refused as error:
        written = f", written with {writer}," if writer else ""
        raise UserError(f"The export {directory}{written} cannot be used here: {error}") from error
