"""A real HTTP server on loopback that gives parts of files, and stalls, cuts, floods and answers 503 when told to."""

import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


class FaultyServer:
    """What it was asked for and has sent, and ``faults`` that the next answers to GET have, one each."""

    def __init__(self, root: Path):
        self.root = root
        self.faults: list[str] = []
        self.always: str | None = None
        self.flooded = 0
        self.asked: list[tuple] = []
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def next_fault(self) -> str | None:
        with self.lock:
            return self.always or (self.faults.pop(0) if self.faults else None)


class Handler(BaseHTTPRequestHandler):
    """What answers of every faulty server have in common."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and its body are two pieces, and the second would wait for an answer
    state: FaultyServer

    def log_message(self, *_):
        pass

    def stall(self):
        """Say nothing until the end."""
        self.state.ended.wait(120)
        self.close_connection = True

    def flood(self):
        """Send and send, whatever was asked for."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            while self.state.flooded < 1 << 30:
                self.wfile.write(bytes(1 << 16))
                self.state.flooded += 1 << 16

    def send_content(self, content, fault):
        """As the body of an answer whose length has been said; half of it where the fault is a cut."""
        self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        self.close_connection = fault == "cut"


@contextmanager
def serving(root: Path) -> Iterator[tuple[FaultyServer, str]]:
    """The server and its address."""
    state = FaultyServer(root)

    class Files(Handler):
        def do_HEAD(self):
            self.answer(head=True)

        def do_GET(self):
            self.answer(head=False)

        def answer(self, head):
            path = unquote(urlsplit(self.path).path, errors="surrogateescape").lstrip("/")
            part = self.headers.get("Range")
            fault = None if head else state.next_fault()
            with state.lock:
                if not head:
                    state.asked.append((path, part))
            file = state.root / path
            if fault == "stall":
                self.stall()
                return
            if fault in ("503", "403") or not file.exists():
                self.send_response(int(fault) if fault in ("503", "403") else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault == "flood":
                self.flood()
                return
            content = file.read_bytes() if file.is_file() else self.listing(file)
            found = file.is_file() and re.fullmatch(r"bytes=(\d+)-(\d+)", part or "")
            if found and fault != "whole":
                start, end = int(found[1]), min(int(found[2]) + 1, len(content))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
                content = content[start:end]
            else:
                self.send_response(200)
            if file.is_file():
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if head:
                return
            self.send_content(content, fault)

        def listing(self, directory):
            names = (quote(one.name) + "/" * one.is_dir() for one in sorted(directory.iterdir()))
            links = "".join(f'<a href="{name}">one</a>' for name in names)
            return f"<html>{links}</html>".encode()

    with listening(Files, state) as port:
        yield state, f"http://127.0.0.1:{port}"


@contextmanager
def listening(handler: type[Handler], state: FaultyServer):
    """A server on a free port, which is given, until the end; ``state.ended`` lets go who waits."""
    handler.state = state
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        state.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
