"""Hadoop's WebHDFS on loopback as its documentation has it: a name node that lists and refers, a data node that reads.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html. The faults are those of a data node
and of a name node alike.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from faulty_server import listening


class Hadoop:
    """The directory that is served, what was asked for, and ``faults`` that the next answers have, one each.

    Args:
        readers: users who may read; ``None`` for all.
    """

    def __init__(self, root: Path):
        self.root = root
        self.readers: set[str] | None = None
        self.faults: list[str] = []
        self.always: str | None = None
        self.asked: list[tuple[str, str, str]] = []
        self.served = self.flooded = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def next_fault(self) -> str | None:
        with self.lock:
            return self.always or (self.faults.pop(0) if self.faults else None)


@contextmanager
def webhdfs(root: Path) -> Iterator[tuple[Hadoop, str]]:
    """The name node's state and the address of its root."""
    state = Hadoop(root)

    class Node(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_GET(self):
            parts = urlsplit(self.path)
            given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            path, operation = unquote(parts.path).removeprefix("/webhdfs/v1"), given.get("op", "").upper()
            with state.lock:
                state.asked.append((operation, path, given.get("user.name", "")))
            fault, file = state.next_fault(), state.root / path.lstrip("/")
            if fault == "stall":
                state.ended.wait(120)
                self.close_connection = True
            elif fault == "503":
                self.answer(503, b"")
            elif fault == "401":
                self.answer(401, b"<html>Authentication required</html>", kind="text/html")
            elif fault == "standby":
                self.refuse(403, "StandbyException", "Operation category READ is not supported in state standby")
            elif fault == "flood":
                self.flood()
            elif state.readers is not None and given.get("user.name") not in state.readers:
                self.refuse(403, "AccessControlException", f"Permission denied: user={given.get('user.name')}, {path}")
            elif not file.exists():
                self.refuse(404, "FileNotFoundException", f"File does not exist: {path}")
            elif operation == "GETFILESTATUS":
                self.answer(200, json.dumps({"FileStatus": self.status(file, "")}).encode(), fault)
            elif operation == "LISTSTATUS":
                entries = [file] if file.is_file() else sorted(file.iterdir())
                found = [self.status(one, "" if file.is_file() else one.name) for one in entries]
                self.answer(200, json.dumps({"FileStatuses": {"FileStatus": found}}).encode(), fault)
            elif operation == "OPEN" and "namenoderpcaddress" not in given:
                host = self.headers["Host"]
                self.send_response(307)
                self.send_header(
                    "Location", f"http://{host}{quote(parts.path, safe='/%')}?{parts.query}&namenoderpcaddress=x"
                )
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif operation == "OPEN":
                content, start = file.read_bytes(), int(given.get("offset", 0))
                if start > len(content):
                    self.refuse(
                        403, "IOException", f"Offset={start} out of the range [0, {len(content)}); OPEN, {path}"
                    )
                    return
                content = content[start : start + int(given.get("length", len(content)))]
                with state.lock:
                    state.served += len(content)
                self.answer(200, content, fault, kind="application/octet-stream")
            else:
                self.refuse(400, "IllegalArgumentException", f"Invalid value for webhdfs parameter op: {operation}")

        def status(self, file, suffix):
            about = file.stat()
            kind = "DIRECTORY" if file.is_dir() else "FILE"
            length = 0 if file.is_dir() else about.st_size
            times = {"modificationTime": about.st_mtime_ns // 1_000_000, "accessTime": 0}
            return {"pathSuffix": suffix, "type": kind, "length": length, "owner": "root", "permission": "644", **times}

        def refuse(self, status, exception, message):
            said = {"RemoteException": {"exception": exception, "javaClassName": exception, "message": message}}
            self.answer(status, json.dumps(said).encode())

        def answer(self, status, content, fault=None, kind="application/json"):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
            self.close_connection = fault == "cut"

        def flood(self):
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            with contextlib.suppress(OSError):
                while state.flooded < 1 << 30:
                    self.wfile.write(bytes(1 << 16))
                    state.flooded += 1 << 16

    with listening(Node, state) as port:
        yield state, f"webhdfs://127.0.0.1:{port}"
