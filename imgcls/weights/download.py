"""Published weights from the network into a cache: fetched once, checked ever after.

The cache is ``$IMGCLS_CACHE``, or ``~/.cache/imgcls``. Beside each file lies its sha256, noted down
after the first download (or when a file put there by hand is first used); where the catalogue knows the
published file's, that counts. ``$IMGCLS_WEIGHTS_URL`` names a mirror that has the same file names.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from imgcls.errors import UserError
from imgcls.machine.cache import CACHE_VARIABLE, cache_directory
from imgcls.machine.files import NO_LOCKS, atomic_write, sha256
from imgcls.machine.reading import read_text
from imgcls.machine.turns import one_at_a_time
from imgcls.weights.fluid.files import check_tar
from imgcls.weights.transfer import SCHEMES, DownloadFailed, download, without_secrets

MIRROR_VARIABLE = "IMGCLS_WEIGHTS_URL"
TIMEOUT = 30.0  # seconds without a byte

log = logging.getLogger(__name__)


def fetch(url: str, cache: str | Path | None = None, timeout: float = TIMEOUT, pinned: str | None = None) -> Path:
    """The cached file of a published ``*_pretrained.tar``, downloaded if it is not there.

    Of several processes that ask at once, one downloads and the others wait for it.

    Args:
        url: http or https.
        cache: directory in place of ``cache_directory()``.
        timeout: seconds without a byte after which a connection counts as dead.
        pinned: the sha256 that the file must have, fetched now or before.

    Raises:
        UserError: it cannot be had (the message says where to put the file by hand), what came is no
            whole tar, the cache cannot be written, or the cached file changed since it was first used.
    """
    name = PurePosixPath(urlsplit(url).path).name
    if name in ("", "..") or not name.isprintable():
        raise UserError(f"{without_secrets(url)} is no address of a file of weights.")
    if mirror := os.environ.get(MIRROR_VARIABLE):
        parts = urlsplit(mirror)
        url = parts._replace(path=f"{parts.path.rstrip('/')}/{name}").geturl()
    if urlsplit(url).scheme not in SCHEMES:
        raise UserError(f"Weights come over http or https, not from '{without_secrets(url)}'. Check {MIRROR_VARIABLE}.")
    target = Path(cache or cache_directory()) / name
    if not (target.exists() and _record(target).exists()):
        with _os_errors(target), one_at_a_time(target.with_name(f"{target.name}.lock"), f"downloads {target.name}"):
            if not target.exists():
                _download(url, target, timeout, pinned)
            elif not _record(target).exists():
                _note(target, _sha256(target))
    _verify(target, pinned)
    return target


def _download(url: str, target: Path, timeout: float, pinned: str | None) -> None:
    part = target.with_name(target.name + ".part")
    address = without_secrets(url)
    log.info("downloading %s to %s", address, target)
    try:
        download(url, part, timeout=timeout)
    except DownloadFailed as error:
        raise UserError(
            f"Cannot download {address}: {error}. Without a network, get that file elsewhere and put it at {target}, "
            "or set model.pretrained=<path of the file>."
        ) from None
    try:
        check_tar(part)
    except UserError as error:
        part.unlink()
        raise UserError(f"{address} gave something other than weights, which was thrown away: {error}") from None
    digest = _sha256(part)
    if pinned and digest != pinned:
        part.unlink()
        raise UserError(
            f"{address} is not the file that was published (sha256 {digest}, which should be {pinned}); it was thrown "
            "away. Take it from another mirror."
        )
    if _record(target).exists() and digest != _recorded(target):
        part.unlink()
        raise UserError(
            f"{address} is not the file it was when it was first downloaded (sha256 {digest}, then "
            f"{_recorded(target)}); it was thrown away. If the new one is to be trusted, delete {_record(target)}."
        )
    _note(target, digest)
    part.replace(target)


def _verify(target: Path, pinned: str | None) -> None:
    digest = _sha256(target)
    if pinned and digest != pinned:
        raise UserError(
            f"{target} is not the file that was published (sha256 {digest}, which should be {pinned}). "
            "Delete it to have it downloaded again."
        )
    if digest != _recorded(target):
        raise UserError(
            f"{target} has changed since it was first used (sha256 {digest}, then {_recorded(target)}). "
            "Delete it to have it downloaded again."
        )


def _record(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _recorded(target: Path) -> str:
    return (read_text(_record(target)).split() or ["nothing"])[0][:64]


def _note(target: Path, digest: str) -> None:
    """In the format of ``sha256sum --check``, whole or absent."""
    with atomic_write(_record(target)) as partial:
        partial.write_text(f"{digest}  {target.name}\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with _os_errors(path):
        return sha256(path)


@contextlib.contextmanager
def _os_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = f" Point {CACHE_VARIABLE} to a directory on another disk." if error.errno in NO_LOCKS else ""
        raise UserError(f"Cannot use the cache {target.parent}: {error.strerror or error}.{advice}") from None
