"""What every engine asks before it touches an export, whoever it comes from."""

from pathlib import Path

from imgcls.deploy.contract import NAME
from imgcls.deploy.operators import Refused, check_model
from imgcls.errors import UserError


def require_harmless(directory: str | Path) -> None:
    """Refuse a graph with operators that write, read, send or call, before anything loads it.

    Raises:
        UserError: naming them; or there is no model file that can be read.
    """
    try:
        check_model(directory, NAME)
    except Refused as error:
        raise UserError(f"The export {directory} is not run: {error}.") from error
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}. Is this an export directory?") from error
