"""Files behind an address, ``s3://...`` or ``https://...``: read whole or in part, through fsspec, with patience."""

import contextlib
import copy
import errno
import hashlib
import logging
import os
import random
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from imgcls.errors import UserError
from imgcls.machine import hadoop
from imgcls.machine.bounded_cache import BoundedCache
from imgcls.machine.cache import cache_directory
from imgcls.machine.deadline import within
from imgcls.machine.limits import LISTING_BYTES
from imgcls.machine.reading import shown
from imgcls.machine.text import printable_text

SCHEMES = ("s3", "gs", "az", "abfs", "hdfs", "webhdfs", "http", "https")
"""That data may come from; fsspec knows others, which name files of this machine or run other programs."""

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
WHOLE = 10
"""A list or an index may take so many times the seconds of an image."""

SIZES, SIZES_SECONDS = 10_000, 600.0
"""Of so many files, and for so long, a web server is asked for the size of each: its list of them does not say it."""

PART = 8 << 20
"""Bytes of a shard that is copied, in one attempt."""

WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds after the first failure, twice as many after each further one, and the most."""

BUSY = (408, 425, 429)
"""Answers below 500 that may be others in a moment."""

BEYOND = 416
"""The answer to a part that begins at the end of its file, or behind it."""

IN_ADDRESSES = "%:/?#[]@!$&'()*+,;=~"
"""Characters that stay as they are in an address; others, as blanks and Chinese ones, may be typed in it."""

TOLD = 50
"""Characters of an address in the name of a directory."""

log = logging.getLogger("imgcls")


class NoSuchFile(OSError):
    """There is nothing at an address, or it may not be read."""


def scheme_of(path: object) -> str | None:
    """That of an address, in small letters; ``None`` for the path of a file."""
    match = ADDRESS.match(os.fspath(path)) if isinstance(path, str | os.PathLike) else None
    return match[1].lower() if match else None


class Store:
    """What lies below an address. Any process may have a copy, and opens connections of its own.

    Credentials are found as each service's own programs find them, in the environment or files of the user's, and
    ``FSSPEC_S3_ENDPOINT_URL`` and the like set what else fsspec takes; an address holds none.

    Args:
        root: an address.
        timeout: seconds for one attempt.
        retries: further attempts after one that failed.
        cache_bytes: of parts of files, kept on this machine.

    Raises:
        UserError: it is no address that data may come from.
    """

    def __init__(self, root: str, timeout: float, retries: int, cache_bytes: int):
        if scheme_of(root) not in SCHEMES:
            raise UserError(f"{shown(root)}: data comes from {'://, '.join(SCHEMES)}:// or a directory.")
        if urlsplit(root).password is not None:
            raise UserError("data.root holds a password: leave it to the environment or the service's own files.")
        hadoop.require_known(root)
        scheme, _, rest = root.partition("://")
        self.root = f"{scheme.lower()}://{rest}".rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self.cache_bytes = cache_bytes
        self.cache = BoundedCache(cache_directory() / "remote", cache_bytes)
        self._sizes: dict[str, int | None] = {}
        self._opened: tuple[int, Any] | None = None

    @property
    def _is_web(self) -> bool:
        return scheme_of(self.root) in ("http", "https")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def read(self, name: str | bytes, limit: int, timeout: float | None = None) -> bytes:
        """A whole file of at most ``limit`` bytes, as it is now.

        Args:
            timeout: in place of that for lists, which take longer than an image.

        Raises:
            NoSuchFile: there is none, or it may not be read.
            UserError: it is larger, or the last attempt failed, too.
        """
        seconds = timeout or WHOLE * self.timeout
        content = self._patiently(name, lambda files, path: self._fetch(files, path, 0, limit + 1, seconds))
        if len(content) > limit:
            raise UserError(f"{self.address(name)} is refused: it is larger than {limit:,} bytes.")
        return content

    def read_part(self, name: str, offset: int, size: int, of: int, stamp: str = "") -> bytes:
        """So many bytes of a file, from this machine's cache if they are there.

        Args:
            of: the bytes that the file has as far as is known; the service is asked once.
            stamp: something else that changes when the file does.

        Raises:
            NoSuchFile: there is no such file, or it may not be read.
            UserError: the last attempt failed, too, or the server gives no parts of files.
        """
        key = f"{self.address(name)}\0{of}\0{stamp}\0{offset}\0{size}"
        if (kept := self.cache.get(key)) is not None and len(kept) == size:
            return kept

        self.require_size(name, of)
        content = self.part(name, offset, size)
        self.cache.put(key, content)
        return content

    def require_size(self, name: str, of: int) -> None:
        """Ask the service once how large a file is.

        Raises:
            NoSuchFile: there is none, or it has another size.
            UserError: the last attempt failed, too.
        """
        if name not in self._sizes:
            self._sizes[name] = self._patiently(name, lambda files, path: _call(files, "info", self.timeout, path))[
                "size"
            ]
        if self._sizes[name] not in (None, of):
            raise NoSuchFile(f"{self.address(name)} has changed since it was indexed")

    def part(self, name: str, offset: int, size: int) -> bytes:
        """So many bytes of a file, from the service.

        Raises:
            NoSuchFile, UserError: see ``read_part``.
        """

        def fetch(files: Any, path: str) -> bytes:
            content = self._fetch(files, path, offset, offset + size, self.timeout) if size else b""
            if len(content) < size:
                raise OSError(f"{len(content):,} bytes came instead of {size:,}")
            return content

        content = self._patiently(name, fetch)
        if len(content) > size:
            raise UserError(f"{self.address(name)}: the server gives no parts of files (Range), which shards need.")
        return content

    def read_kept(self, name: str | bytes, limit: int) -> bytes:
        """A whole file, from this machine's cache if it is there: what lies at its address now is not looked at."""
        if (kept := self.cache.get(self.address(name))) is None:
            kept = self.read(name, limit, self.timeout)
            self.cache.put(self.address(name), kept)
        return kept

    def local(self, name: str, limit: int) -> Path:
        """A small file, fetched now, as one of this machine.

        Raises:
            NoSuchFile, UserError: see ``read``.
        """
        content = self.read(name, limit)
        address = self.address(name)
        digest = hashlib.sha256(os.fsencode(address)).hexdigest()[:16]
        told = re.sub(r"[^\w.-]", "_", address)[-TOLD:]
        path = self.cache.directory / "files" / f"{told}-{digest}" / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.replace(path)
        return path

    def files(self, below: str, ending: str) -> list[tuple[str, int, str]]:
        """Name, bytes and what else tells a change of each file of a directory whose name ends so; sorted by name.

        Raises:
            NoSuchFile: there is no such directory, or the service lists none.
        """
        if self._is_web:
            return self._files_of_pages(below, ending)

        def ask(files: Any, path: str) -> list[dict[str, Any]]:
            return _call(files, "ls", WHOLE * self.timeout, path, detail=True)

        try:
            entries = self._patiently(below, ask)
        except NotImplementedError as error:
            raise NoSuchFile(f"{self.address(below)}: the service lists no files") from error
        named = ((os.path.basename(str(entry["name"])), entry) for entry in entries)
        return sorted(
            (name, int(entry["size"]), _stamp(entry))
            for name, entry in named
            if _is_one(name, ending) and entry.get("type") != "directory" and entry.get("size") is not None
        )

    def _files_of_pages(self, below: str, ending: str) -> list[tuple[str, int, str]]:
        """The same of a web server, which is asked for the size of each."""
        names = [name for name, is_directory in self.entries(below) if not is_directory and _is_one(name, ending)]
        advice = "Put the index of the shards beside them, which scripts/make_shards.py and imgcls.verify write."
        if len(names) > SIZES:
            raise UserError(f"{self.address(below)} lists {len(names):,} files, of more than {SIZES:,}. {advice}")
        found, ends = [], time.monotonic() + SIZES_SECONDS
        for name in names:
            if time.monotonic() > ends:
                raise UserError(
                    f"{self.address(below)}: the sizes of {len(found):,} of {len(names):,} files took more than "
                    f"{SIZES_SECONDS:.0f} s. {advice}"
                )
            with contextlib.suppress(NoSuchFile):
                found.append((name, *self.state(f"{below}{name}")))
        return found

    def entries(self, below: str) -> list[tuple[str, bool]]:
        """Names of all that a directory holds, and whether each is a directory; sorted. A web server's are its links.

        Args:
            below: empty, or ends with a slash.

        Raises:
            NoSuchFile: there is no such directory, or the service lists none.
            UserError: the last attempt failed, too.
        """
        if self._is_web:
            base = f"{quote(self.root, safe=IN_ADDRESSES)}/{quote(os.fsencode(below))}"
            return sorted(_links(self.read(below, LISTING_BYTES).decode("utf-8", "replace"), base))

        def ask(files: Any, path: str) -> set[tuple[str, bool]]:
            path = path.rstrip("/")
            found = _call(files, "ls", WHOLE * self.timeout, path, detail=True)
            pairs = ((str(one["name"]).rstrip("/"), one.get("type") == "directory") for one in found)
            return {(name.rpartition("/")[2], is_directory) for name, is_directory in pairs if name != path}

        try:
            return sorted(self._patiently(below, ask))
        except NotImplementedError as error:
            raise NoSuchFile(f"{self.address(below)}: the service lists no files") from error

    def below(self, name: str) -> "Store":
        """What lies in a directory."""
        return self.at(f"{self.root}/{name}")

    def at(self, root: str) -> "Store":
        """What lies at another address of the service."""
        other = copy.copy(self)
        other.root, other._sizes, other._opened = root, {}, None
        return other

    def state(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and what else tells a change.

        Raises:
            NoSuchFile: there is none, or the service does not say how large it is.
            UserError: the last attempt failed, too.
        """
        found = self._patiently(name, lambda files, path: _call(files, "info", self.timeout, path))
        if found.get("size") is None:
            raise NoSuchFile(f"{self.address(name)}: the server does not say how large it is")
        return int(found["size"]), _stamp(found)

    def copy(self, name: str, size: int, target: Path) -> None:
        """Write a file of that size to ``target``, in parts that are asked for again where one fails.

        Raises:
            NoSuchFile, UserError: see ``read_part``.
        """
        with target.open("wb") as file:
            for offset in range(0, size, PART):
                file.write(self.part(name, offset, min(PART, size - offset)))

    def address(self, name: str | bytes) -> str:
        return f"{self.root}/{os.fsdecode(name)}"

    def _patiently(self, name: str | bytes, ask: Callable[[Any, str], Any]) -> Any:
        address = printable_text(self.address(name))
        path = self.address(name)
        if self._is_web:
            path = f"{quote(self.root, safe=IN_ADDRESSES)}/{quote(os.fsencode(name))}"
        elif scheme_of(self.root) in hadoop.SCHEMES:
            path = hadoop.path_of(path)
        for attempt in range(self.retries + 1):
            try:
                files = self._files()
                return ask(files, files._strip_protocol(path))
            except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
                reason = _reason(error)
                is_named = reason.strip("/") in address  # and nothing else said, as by fsspec of the web
                raise NoSuchFile(f"{address}: {'there is nothing' if is_named else reason}") from error
            except NotImplementedError:
                raise
            except ImportError as error:
                extra = "hadoop" if scheme_of(self.root) in hadoop.SCHEMES else "remote"
                raise UserError(
                    f'{address} needs a package: pip install "imgcls[{extra}]" ({_reason(error)})'
                ) from error
            except Exception as error:  # whatever the libraries of the services raise
                status = _status(error)
                if words := hadoop.refusal(error):
                    raise NoSuchFile(f"{address}: {shown(words, 200)}") from error
                if isinstance(status, int) and 400 <= status < 500 and status not in BUSY:
                    raise NoSuchFile(f"{address}: the server answers {status}") from error
                self._forget()
                if attempt == self.retries:
                    raise UserError(
                        f"{address} could not be read in {self.retries + 1} attempts, the last time: {_reason(error)}. "
                        "Is the service there? data.remote_retries and data.remote_timeout give it more time."
                    ) from error
                wait = waits(self.retries)[attempt] * random.uniform(0.5, 1.0)
                log.debug("%s: %s; once more in %.1f s", address, _reason(error), wait)
                time.sleep(wait)

    def _files(self) -> Any:
        """The file system of fsspec, one for each process: threads and connections do not outlive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self._open()
        return self._opened[1]

    def _forget(self) -> None:
        """The next attempt has connections of its own."""
        opened, self._opened = self._opened, None
        if opened is not None and isinstance(opened[1], hadoop.HdfsFiles):
            opened[1].close()

    def _open(self) -> Any:
        scheme = scheme_of(self.root)
        if scheme in hadoop.SCHEMES:
            return hadoop.open_hadoop(self.root, self.timeout, WHOLE * self.timeout)
        import fsspec

        options = {"encoded": True} if self._is_web else {}
        return fsspec.filesystem(scheme, skip_instance_cache=True, **options)

    def _fetch(self, files: Any, path: str, start: int, end: int, timeout: float) -> bytes:
        """The bytes of a file from ``start`` to ``end``; more, from the beginning, of a server that gives no parts."""
        if self._is_web:
            from fsspec.asyn import sync

            return sync(files.loop, _fetch_web, files, path, start, end, timeout=timeout)
        if scheme_of(self.root) == "webhdfs":
            return within(timeout, lambda: hadoop.fetch(files, path, start, end))
        try:
            return _call(files, "cat_file", timeout, path, start=start, end=end)
        except OSError as error:  # S3 has no part of an empty file
            if error.errno != errno.EINVAL or _call(files, "info", timeout, path)["size"] > start:
                raise
            return b""


def _links(page: str, base: str) -> set[tuple[str, bool]]:
    """Names behind a page's links to what lies right below its own address, and which are directories."""
    found: set[tuple[str, bool]] = set()

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            target = dict(attributes).get("href") if tag == "a" else None
            if not target:
                return
            try:
                one = urlsplit(urljoin(base, target))
            except ValueError:
                return
            own = urlsplit(base)
            path, mine = (unquote(part.path, errors="surrogateescape") for part in (one, own))
            name = path.removeprefix(mine)
            plain = name.rstrip("/")
            if one.netloc == own.netloc and not one.query and name != path and plain and "/" not in plain:
                found.add((plain, name.endswith("/")))

    Links().feed(page)
    return {(name, is_directory) for name, is_directory in found if is_directory or (name, True) not in found}


def waits(retries: int) -> list[float]:
    """Seconds before each further attempt, at most."""
    return [min(LONGEST_WAIT, WAIT * 2**attempt) for attempt in range(retries)]


async def _fetch_web(files: Any, path: str, start: int, end: int) -> bytes:
    """The same, of at most a byte more than was asked for: fsspec reads whatever a server sends."""
    options = dict(files.kwargs)
    headers = {**options.pop("headers", {}), "Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    session = await files.set_session()
    async with session.get(files.encode_url(path), headers=headers, **options) as answer:
        if answer.status == BEYOND and start == 0:
            return b""
        if answer.status == 404:
            raise FileNotFoundError(path)
        answer.raise_for_status()
        content = bytearray()
        async for part in answer.content.iter_any():
            content += part
            if len(content) > end - start:
                break
        return bytes(content[: end - start + 1])


def _call(files: Any, method: str, timeout: float, path: str, **arguments: Any) -> Any:
    """A method of a file system, given up after ``timeout``."""
    if not files.async_impl:
        return within(timeout, lambda: getattr(files, method)(path, **arguments))
    from fsspec.asyn import sync

    return sync(files.loop, getattr(files, f"_{method}"), path, timeout=timeout, **arguments)


def _is_one(name: str, ending: str) -> bool:
    return name.endswith(ending) and not name.startswith(".")


def _stamp(entry: dict[str, Any]) -> str:
    """What the services say of a file that changes when it does."""
    known = ("ETag", "LastModified", "mtime", "modification_time", "modificationTime")
    return str(next((entry[name] for name in known if entry.get(name)), ""))


def _status(error: BaseException) -> int | None:
    """What a server has answered, of an error of aiohttp's or requests'."""
    found = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def _reason(error: BaseException) -> str:
    text = str(error).partition("\n")[0] or (
        "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    )
    status = _status(error)
    return shown(f"the server answers {status}" if status is not None else text, 200).rstrip(".")
