"""Zips behind an address: copied to this machine once, whole or not at all, and read where they lie then."""

import hashlib
import json
import logging
import os
from pathlib import Path

from imgcls.data.choices import SPLITS
from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.reading import read_json
from imgcls.machine.store import NoSuchFile, Store
from imgcls.machine.turns import one_at_a_time

log = logging.getLogger("imgcls")

GIGABYTE = 1e9
STATE = ".state.json"


def fetched(store: Store) -> Path:
    """What ``data=zip`` reads, on this machine: the zip at the address, or a directory of ``train.zip``, ``val.zip``.

    Raises:
        UserError: there is none, the service does not answer, or there is no room.
    """
    if store.root.lower().endswith(".zip"):
        outer, _, name = store.root.rpartition("/")
        try:
            return _copied(store.at(outer), name)
        except NoSuchFile as error:
            raise UserError(f"There is no zip: {error}.") from error
    found, reasons = [], []
    for split in SPLITS:
        try:
            found.append(_copied(store, f"{split}.zip"))
        except NoSuchFile as error:
            reasons.append(str(error))
    if not found:
        raise UserError(
            f"{printable(store.root)} has no train.zip. data=zip wants the address of a zip, or of what train.zip and "
            f"val.zip lie in. ({reasons[0]})"
        )
    return found[0].parent


def _copied(store: Store, name: str) -> Path:
    """The file as it is at the address now, copied unless it is there."""
    size, stamp = store.state(name)
    kept = store.cache.directory / "whole"
    path = kept / hashlib.sha256(os.fsencode(store.root)).hexdigest()[:32] / name
    about = path.with_name(f".{name}{STATE}")
    with one_at_a_time(path.with_name(f".{name}.lock"), f"copies {store.address(name)}"):
        if path.is_file() and path.stat().st_size == size and _state(about) == [size, stamp]:
            return path
        _require_room(store, name, size, kept, path)
        log.info("%s is copied to %s, %.3g GB", store.address(name), path, size / GIGABYTE)
        partial = path.with_name(f".{name}.partial")
        try:
            store.copy(name, size, partial)
            about.write_text(json.dumps([size, stamp]), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            if isinstance(error, NoSuchFile):
                raise
            raise UserError(
                f"{store.address(name)} could not be copied to {path}: {error.strerror or error}."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
    return path


def _state(about: Path) -> object:
    try:
        return read_json(about) if about.is_file() else None
    except UserError:
        return None


def _require_room(store: Store, name: str, size: int, kept: Path, path: Path) -> None:
    used = sum(one.stat().st_size for one in kept.glob("*/*") if one.is_file() and one != path)
    if used + size > store.cache_bytes:
        raise UserError(
            f"{store.address(name)} has {size / GIGABYTE:.3g} GB, and {kept} has room for "
            f"{max(0, store.cache_bytes - used) / GIGABYTE:.3g} GB more: raise data.remote_cache_gb, or remove what is "
            "there. Shards (data=tar) are not copied."
        )
