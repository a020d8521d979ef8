"""Whether ``run.name`` is the name of a directory below ``run.root``."""

import os

from omegaconf import DictConfig, OmegaConf

from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.files import LONGEST_NAME


def require_run_name(config: DictConfig) -> None:
    """Refuse a name that is none, that leads out of ``run.root``, or that no file system takes.

    Args:
        config: composed, not necessarily typed.

    Raises:
        UserError: it is such a name.
    """
    root, name = (OmegaConf.select(config, f"run.{key}", throw_on_missing=False) for key in ("root", "name"))
    if not isinstance(root, str) or not isinstance(name, str):
        return  # refused as of another type
    if not root.strip():
        raise UserError("run.root is empty: name a directory, as run.root=outputs.")
    shown = f"run.name={printable(name[:80])}{'...' * (len(name) > 80)}"
    if not name.strip():
        raise UserError("run.name is empty: give the run a name, as run.name=first.")
    if "\0" in name or "\0" in root:
        raise UserError(f"{shown}: no directory can be called so.")
    if os.path.isabs(name):
        parent, last = os.path.split(os.path.normpath(name))
        raise UserError(f"{shown}: a name, and no path from /. Write run.root={printable(parent)} run.name={last}")
    if os.path.normpath(name).partition(os.sep)[0] in (os.curdir, os.pardir):
        raise UserError(f"{shown} leads out of run.root={printable(root)}: name a directory below it, or another root.")
    longest = max(len(os.fsencode(part)) for part in name.split(os.sep))
    if longest > LONGEST_NAME:
        raise UserError(f"{shown}: {longest} bytes in UTF-8, and a directory's name has {LONGEST_NAME} at most.")
