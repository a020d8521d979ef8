"""Stream a URL into a file over a connection that may break, going on where it broke."""

import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from imgcls.errors import UserError
from imgcls.machine.progress import progress_bar
from imgcls.machine.text import printable_text

ATTEMPTS = 4  # in a row that bring nothing new
FIRST_PAUSE = 0.5  # seconds; doubled after each such attempt
CHUNK = 1 << 20
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO}
WORTH_RETRYING = {408, 429, 500, 502, 503, 504}


class DownloadFailed(UserError):
    """The server could not be reached, refused, or kept breaking off."""


def download(url: str, part: Path, *, timeout: float) -> None:
    """Fetch ``url`` into ``part``; what ``part`` holds already is not fetched again.

    A server without Range support costs a new start. If the file changed on the server since
    ``part`` was begun, ``If-Range`` makes it start over too.

    Args:
        timeout: seconds without a byte after which the connection counts as dead.

    Raises:
        DownloadFailed: several attempts in a row brought nothing, or the server said no.
        UserError: ``part`` cannot be written; what is there stays for the next try.
    """
    longest = _size(part)
    failures = 0
    while True:
        try:
            if _fetch_rest(url, part, timeout):
                _validator_file(part).unlink(missing_ok=True)
                return
            reason = f"the connection was cut after {_size(part):,} bytes"
        except urllib.error.HTTPError as error:
            reason = f"the server answered {error.code} {error.reason}"
            if error.code not in WORTH_RETRYING:
                raise DownloadFailed(reason) from None
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except TimeoutError:
            reason = f"the server sent nothing for {timeout:g} seconds"
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise UserError(
                    f"Cannot write {part}: {error.strerror}. What was fetched so far is kept. "
                    "Make room, or point IMGCLS_CACHE to another disk, and start again."
                ) from None
            reason = str(error) or type(error).__name__
        failures = 0 if _size(part) > longest else failures + 1
        longest = max(longest, _size(part))
        if failures == ATTEMPTS:
            raise DownloadFailed(reason)
        time.sleep(FIRST_PAUSE * 2**failures)


def _fetch_rest(url: str, part: Path, timeout: float) -> bool:
    """One connection; true if ``part`` is whole afterwards."""
    offset = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "imgcls", "Accept-Encoding": "identity"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if _validator_file(part).exists():
            request.add_header("If-Range", _validator_file(part).read_text(encoding="utf-8"))
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if _content_range(error.headers) == (None, offset):
            return True  # the file was whole; only its last step was missing
        part.unlink()
        return False
    with response:
        start, total = 0, response.length
        if response.status == 206:
            start, total = _content_range(response.headers)
            if start != offset:
                part.unlink(missing_ok=True)
                return False
        _write(response, part, start, total)
    return total is None or _size(part) == total


def _write(response: http.client.HTTPResponse, part: Path, start: int, total: int | None) -> None:
    """Append to the first ``start`` bytes of ``part`` what the response brings."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - max(start, _size(part)) > free:
        raise OSError(errno.ENOSPC, f"{total - start:,} bytes are to come and {free:,} are free")
    _remember_validator(part, response.headers)
    options = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    bar = progress_bar(desc=printable_text(part.stem), total=total, initial=start, **options)
    with bar, part.open("ab" if start else "wb") as file:
        while chunk := response.read1(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())


def _content_range(headers: http.client.HTTPMessage) -> tuple[int | None, int | None]:
    """First byte and total size that a ``Content-Range`` header tells; ``None`` for what it does not."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", headers.get("Content-Range", "").strip())
    first, total = match.groups() if match else (None, None)
    return (int(first) if first else None), (int(total) if total else None)


def _remember_validator(part: Path, headers: http.client.HTTPMessage) -> None:
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")
    if validator:
        _validator_file(part).write_text(validator, encoding="utf-8")
    else:
        _validator_file(part).unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
