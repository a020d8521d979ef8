"""Hadoop's WebHDFS on loopback as its documentation has it: a name node that lists and refers, a data node that reads.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html. The faults are those of a data node
and of a name node alike.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from faulty_server import FaultyServer, Handler, listening


class Hadoop(FaultyServer):
    """Also who may read (``readers``; ``None`` for all) and how many bytes were read."""

    def __init__(self, root: Path):
        super().__init__(root)
        self.readers: set[str] | None = None
        self.served = 0


@contextmanager
def webhdfs(root: Path) -> Iterator[tuple[Hadoop, str]]:
    """The name node's state and the address of its root."""
    state = Hadoop(root)

    class Node(Handler):
        def do_GET(self):
            parts = urlsplit(self.path)
            given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            path, operation = unquote(parts.path).removeprefix("/webhdfs/v1"), given.get("op", "").upper()
            with state.lock:
                state.asked.append((operation, path, given.get("user.name", "")))
            fault, file = state.next_fault(), state.root / path.lstrip("/")
            if fault == "stall":
                self.stall()
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
            self.send_content(content, fault)

    with listening(Node, state) as port:
        yield state, f"webhdfs://127.0.0.1:{port}"
