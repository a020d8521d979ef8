"""What is particular to Hadoop's file systems, ``webhdfs://`` and ``hdfs://``, as fsspec has them."""

import io
import os
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imgcls.errors import UserError
from imgcls.machine.hdfs_process import HdfsFiles
from imgcls.machine.limits import LISTING_BYTES
from imgcls.machine.reading import shown

SCHEMES = ("hdfs", "webhdfs")
NEEDED = {"hdfs": ("hdfs_native",), "webhdfs": ("requests",)}
"""Packages beside fsspec."""

USER = "HADOOP_USER_NAME"
"""A variable of the programs of Hadoop: in whose name files are read, where it is not in the address."""

REFUSED = re.compile(r"Permission denied: .*?(?=\\n|\n|\"\)|$)")

CHUNK = 1 << 16
SLACK = 1 << 20
"""Bytes that an answer may have beyond what was asked for."""


def open_hadoop(root: str, timeout: float, longest: float) -> Any:
    """A file system of fsspec's for an address, whose paths begin behind the host.

    Args:
        timeout: seconds without a byte after which a request is given up.
        longest: seconds for all of a request.
    """
    parts = urlsplit(root)
    if parts.scheme == "hdfs":
        return HdfsFiles(parts.hostname, parts.port)
    from fsspec.implementations.webhdfs import WebHDFS

    user = parts.username or os.environ.get(USER)
    files = WebHDFS(parts.hostname, parts.port, skip_instance_cache=True, **({"user": user} if user else {}))
    files._strip_protocol = lambda path: path  # theirs takes "#" and "?" in a name for parts of an address
    for scheme in ("http://", "https://"):
        files.session.mount(scheme, _adapter(timeout, longest))
    return files


def require_known(root: str) -> None:
    """Refuse an address of Hadoop's that leaves something open, before anything is asked.

    Raises:
        UserError: no host or port, or a user where none can be.
    """
    try:
        parts = urlsplit(root)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"{shown(root)}: {error}.") from error
    if parts.scheme not in SCHEMES:
        return
    if parts.scheme == "hdfs" and parts.username:
        raise UserError(f"{shown(root)}: set {USER}={parts.username} in the environment, and leave it out here.")
    if not host or (parts.scheme == "webhdfs" and port is None):
        usual = {"hdfs": "hdfs://namenode:8020/photos", "webhdfs": "webhdfs://namenode:9870/photos"}[parts.scheme]
        raise UserError(f"{shown(root)} names no host{' and port' * (parts.scheme == 'webhdfs')}, as {usual} does.")


def refusal(error: Exception) -> str | None:
    """What a service says to a user who may not read something; ``None`` where another attempt might help."""
    if "AccessControlException" not in str(error):
        return None
    words = REFUSED.search(str(error))
    return words[0].replace('\\"', '"') if words else "permission denied"


def path_of(address: str) -> str:
    """What stands behind the host, as it is typed."""
    return "/" + address.partition("://")[2].partition("/")[2]


def fetch(files: Any, path: str, start: int, end: int) -> bytes:
    """The bytes of a file of ``webhdfs://`` from ``start`` to ``end``, from the data node that the name node names."""
    answer = files._call("OPEN", path=path, redirect=False, offset=start, length=end - start)
    if location := answer.headers.get("Location"):
        answer = files.session.get(files._apply_proxy(location), allow_redirects=False)
        if answer.status_code == 404:
            raise FileNotFoundError(path)
        if answer.status_code == 403:
            raise PermissionError("the data node answers 403")
        answer.raise_for_status()
    return answer.content


def _adapter(timeout: float, longest: float) -> Any:
    """Of requests': answers are read within bounds of time and size, whoever asks."""
    from requests.adapters import HTTPAdapter

    class Bounded(HTTPAdapter):
        def send(self, request: Any, **options: Any) -> Any:
            ends = time.monotonic() + longest
            answer = super().send(request, **{**options, "stream": True, "timeout": timeout})
            wanted = parse_qs(urlsplit(request.url).query).get("length", [""])[0]
            most = int(wanted) + SLACK if wanted.isdecimal() else LISTING_BYTES
            content = bytearray()
            while part := answer.raw.read1(CHUNK, decode_content=True):
                content += part
                if len(content) > most or time.monotonic() > ends:
                    answer.raw.close()
                    raise OSError(f"the server sends more than {most:,} bytes") if len(content) > most else TimeoutError
            answer.raw = io.BytesIO(bytes(content))
            return answer

    return Bounded()
