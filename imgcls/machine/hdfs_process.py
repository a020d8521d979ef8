"""``hdfs://`` by hdfs-native, in a process of its own: what it has open does not outlive the fork of a data worker.

``python -m imgcls.machine.hdfs_process <host> <port>`` reads requests, a line of JSON each, and answers with a line of
JSON and, of a file, its bytes. It ends when nobody can ask any more.
"""

import json
import os
import subprocess
import sys
import threading
import weakref
from importlib.util import find_spec
from typing import Any

KNOWN = {kind.__name__: kind for kind in (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)}


class HdfsFiles:
    """The part of a file system of fsspec's that a store needs; ``close()`` ends it, and whoever waits for an answer.

    Raises:
        ImportError: hdfs-native is not installed.
    """

    async_impl = False

    def __init__(self, host: str, port: int | None):
        if find_spec("hdfs_native") is None:
            raise ImportError("No module named 'hdfs_native'")
        command = [sys.executable, "-m", "imgcls.machine.hdfs_process", host, str(port or "")]
        # A session of its own: Ctrl-C at a terminal is for those who ask.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "start_new_session": True}
        self._process = subprocess.Popen(command, **pipes)
        self._turn = threading.Lock()
        self.close = weakref.finalize(self, _end, self._process, os.getpid())

    def _strip_protocol(self, path: str) -> str:
        return path

    def info(self, path: str) -> dict[str, Any]:
        return self._ask("info", path)[0]

    def ls(self, path: str, detail: bool = True) -> list[dict[str, Any]]:
        return self._ask("ls", path)[0]

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        return self._ask("cat_file", path, start, end)[1]

    def _ask(self, *words: str | int) -> tuple[Any, bytes]:
        with self._turn:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if not line:
                raise OSError("the process that reads hdfs:// has ended")
            answer = json.loads(line)
            content = self._process.stdout.read(answer["bytes"])
        if "error" in answer:
            raise KNOWN.get(answer["error"], OSError)(answer["words"])
        return answer["value"], content


def _end(process: subprocess.Popen, owner: int) -> None:
    if os.getpid() == owner:  # a fork has a copy of this object, and the process is not its own
        process.kill()
        process.wait()


def main(host: str, port: str) -> None:
    """Answer requests until there are no more."""
    from hdfs_native.fsspec import HdfsFileSystem

    files = HdfsFileSystem(host, int(port) if port else None, skip_instance_cache=True)
    files._strip_protocol = lambda path: path  # theirs takes "#" and "?" in a name for parts of an address
    for line in sys.stdin.buffer:
        call, path, *bounds = json.loads(line)
        content, answer = b"", {}
        try:
            if call == "cat_file":
                content = files.cat_file(path, start=bounds[0], end=bounds[1])
            else:
                answer = {"value": getattr(files, call)(path)}
        except Exception as error:
            answer = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.buffer.write(json.dumps({"value": None, **answer, "bytes": len(content)}).encode() + b"\n" + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
