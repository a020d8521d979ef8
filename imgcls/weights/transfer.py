"""Stream a URL into a file over a connection that may break, going on where it broke.

What a server may do is bounded: ``WEIGHTS_BYTES`` in all, ``MINIMUM_SPEED`` over every ``WINDOW``, ``LONGEST`` seconds
a download, redirects to http and https only and never from https to http. Names, passwords and queries of
an address are for the server alone: no message has them.
"""

import base64
import contextlib
import errno
import http.client
import os
import re
import shutil
import socket
import stat
import string
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urljoin, urlsplit

from imgcls.errors import UserError
from imgcls.machine.limits import WEIGHTS_BYTES
from imgcls.machine.progress import progress_bar
from imgcls.machine.reading import read_text, shown
from imgcls.machine.text import printable_text

SCHEMES = ("http", "https")
ATTEMPTS = 4  # in a row that bring next to nothing
PROGRESS = 1 << 12  # bytes that count as something
FIRST_PAUSE = 0.5  # seconds; doubled after each such attempt
CHUNK = 1 << 20
REDIRECTS = 10
MINIMUM_SPEED = 1024  # bytes a second
WINDOW = 60.0  # seconds
LONGEST = 24 * 3600.0  # seconds
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO}
WORTH_RETRYING = {408, 429, 500, 502, 503, 504}


class DownloadFailed(UserError):
    """The server could not be reached, refused, kept breaking off, or sent what is not to be taken."""


def without_secrets(url: str) -> str:
    """An address for messages: without the user's name and password, and without its query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return shown(parts._replace(netloc=host, query="", fragment="").geturl(), 200)
    except ValueError:
        return "the address"


def download(url: str, part: Path, *, timeout: float) -> None:
    """Fetch ``url`` into ``part``; what ``part`` holds already is not fetched again.

    A server without Range support costs a new start. If the file changed on the server since
    ``part`` was begun, ``If-Range`` makes it start over too.

    Args:
        timeout: seconds without a byte after which the connection counts as dead.

    Raises:
        DownloadFailed: several attempts in a row brought nothing, the server said no, or it went
            beyond the bounds.
        UserError: ``part`` cannot be written; what is there stays for the next try.
    """
    _require_plain(part)
    watch = _Watch()
    longest = _size(part)
    failures = 0
    while True:
        try:
            with watch.connection():
                whole = _fetch_rest(url, part, timeout, watch)
            if whole and not watch.reason:  # what ends because we hung up may look like an end
                _validator_file(part).unlink(missing_ok=True)
                return
            reason = f"the connection was cut after {_size(part):,} bytes"
        except DownloadFailed:
            raise
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server answered {error.code} {shown(str(error.reason))}"
            if error.code not in WORTH_RETRYING:
                raise DownloadFailed(reason) from None
        except urllib.error.URLError as error:
            reason = shown(str(error.reason), 200)
        except TimeoutError:
            reason = f"the server sent nothing for {timeout:g} seconds"
        except http.client.InvalidURL:  # whose words hold the address
            raise DownloadFailed("this is no address") from None
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise UserError(
                    f"Cannot write {part}: {error.strerror}. What was fetched so far is kept. "
                    "Make room, or point IMGCLS_CACHE to another disk, and start again."
                ) from None
            reason = shown(str(error), 200) or type(error).__name__
        except ValueError:  # of an address or a header that cannot be; the words may hold it
            raise DownloadFailed("the address, or what the server sent, makes no sense") from None
        reason = watch.reason or reason
        if watch.over:
            raise DownloadFailed(f"{reason}; what was fetched so far is kept")
        failures = 0 if _size(part) >= longest + PROGRESS else failures + 1
        longest = max(longest, _size(part))
        if failures == ATTEMPTS:
            raise DownloadFailed(reason)
        time.sleep(FIRST_PAUSE * 2**failures)


class _Watch:
    """Hangs up on a server that sends too slowly: what trickles in never runs into a socket's own time-out."""

    def __init__(self) -> None:
        self.received = 0
        self.reason: str | None = None
        self.sockets: list[socket.socket] = []
        self.began = time.monotonic()

    @property
    def over(self) -> bool:
        return time.monotonic() - self.began > LONGEST

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        self.reason, self.sockets = None, []
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, done: threading.Event) -> None:
        before = self.received
        while not done.wait(min(WINDOW, LONGEST)):
            if self.over:
                self.reason = f"it took more than {LONGEST / 3600:g} hours"
            elif self.received - before < MINIMUM_SPEED * WINDOW:
                self.reason = f"the server sent less than {MINIMUM_SPEED:,} bytes a second for {WINDOW:g} seconds"
            before = self.received
            if self.reason:
                for each in self.sockets:
                    with contextlib.suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)


class _Redirects(urllib.request.BaseHandler):
    """Instead of urllib's own, which goes to ftp, from https to http, and reads an answer to its end first."""

    def http_error_302(self, request, answer, code, message, headers):
        answer.close()
        target = urljoin(request.full_url, headers.get("Location", ""))
        scheme, before = urlsplit(target).scheme, urlsplit(request.full_url).scheme
        if scheme not in SCHEMES or (before, scheme) == ("https", "http"):
            raise DownloadFailed(f"the server would have it fetched over {shown(scheme)} instead of {before}")
        following = _request(quote(target, safe=string.punctuation))
        following.redirects = getattr(request, "redirects", 0) + 1
        if following.redirects > REDIRECTS:
            raise DownloadFailed(f"the server sent us on {REDIRECTS} times")
        for name, value in request.headers.items():
            following.add_header(name, value)
        return self.parent.open(following, timeout=request.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(watch: _Watch) -> urllib.request.OpenerDirector:
    """Like urllib's own, proxies included, but for http and https alone, and its sockets are watched."""

    def watched(kind: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
        class Watched(kind):
            def connect(self) -> None:
                super().connect()
                watch.sockets.append(self.sock)

        return Watched

    class Http(urllib.request.HTTPHandler):
        def http_open(self, request):
            return self.do_open(watched(http.client.HTTPConnection), request)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, request):
            return self.do_open(watched(http.client.HTTPSConnection), request, context=self._context)

    opener = urllib.request.OpenerDirector()
    handlers = (urllib.request.ProxyHandler, Http, Https, urllib.request.HTTPDefaultErrorHandler)
    for handler in (*handlers, _Redirects, urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler):
        opener.add_handler(handler())
    return opener


def _request(url: str) -> urllib.request.Request:
    """A user's name and password go into a header, to this host only."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(
        parts._replace(netloc=host).geturl(), headers={"User-Agent": "imgcls", "Accept-Encoding": "identity"}
    )
    if login:
        token = base64.b64encode(unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _fetch_rest(url: str, part: Path, timeout: float, watch: _Watch) -> bool:
    """One connection; true if ``part`` is whole afterwards."""
    offset = _size(part)
    request = _request(url)
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if _validator_file(part).exists():
            request.add_header("If-Range", read_text(_validator_file(part)))
    try:
        response = _opener(watch).open(request, timeout=timeout)
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
        _write(response, part, start, total, watch)
    return total is None or _size(part) == total


def _write(response: http.client.HTTPResponse, part: Path, start: int, total: int | None, watch: _Watch) -> None:
    """Append to the first ``start`` bytes of ``part`` what the response brings."""
    if total is not None and total > WEIGHTS_BYTES:
        raise _too_large(part)
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - max(start, _size(part)) > free:
        raise OSError(errno.ENOSPC, f"{total - start:,} bytes are to come and {free:,} are free")
    _remember_validator(part, response.headers)
    options = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    bar = progress_bar(desc=printable_text(part.stem), total=total, initial=start, **options)
    with bar, _open(part, os.O_APPEND if start else os.O_TRUNC) as file:
        written = start
        while chunk := response.read1(CHUNK):
            written += len(chunk)
            if written > WEIGHTS_BYTES:
                raise _too_large(part)
            watch.received += len(chunk)
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())


def _too_large(part: Path) -> DownloadFailed:
    part.unlink(missing_ok=True)
    return DownloadFailed(f"it is more than {WEIGHTS_BYTES >> 30} GiB, and was thrown away")


def _open(part: Path, flag: int) -> BinaryIO:
    """For writing; what took the file's place meanwhile is not followed or waited for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flag
    return open(os.open(part, flags, 0o644), "wb")


def _require_plain(part: Path) -> None:
    for path in (part, _validator_file(part)):
        if path.is_symlink() or (path.exists() and not stat.S_ISREG(path.lstat().st_mode)):
            raise UserError(f"{path} is a link or no file: nothing is downloaded through it. Remove it.")


def _content_range(headers: http.client.HTTPMessage) -> tuple[int | None, int | None]:
    """First byte and total size that a ``Content-Range`` header tells; ``None`` for what it does not."""
    pattern = r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)"
    match = re.fullmatch(pattern, headers.get("Content-Range", "").strip())
    first, total = match.groups() if match else (None, None)
    return (int(first) if first else None), (int(total) if total else None)


def _remember_validator(part: Path, headers: http.client.HTTPMessage) -> None:
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    if validator and validator.isascii() and validator.isprintable() and len(validator) < 200:
        with _open(_validator_file(part), os.O_TRUNC) as file:
            file.write(validator.encode())
    else:
        _validator_file(part).unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
