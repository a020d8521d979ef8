"""Programs of the library started from a process that has loaded Paddle already: a fork instead of two seconds.

``python tests/warm_start.py`` is that process. What it forks is a process of its own, with its own arguments,
directory, environment and output, that runs ``python -m <module>`` from the first line on; only the libraries
are there before. Variables that count when a library loads cannot be changed for it: ``fits`` says so, and such
a program is started as usual.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import hydra

ROOT = Path(__file__).parent.parent
READ_AT_LOAD = (
    *("OMP_", "MKL_", "FLAGS_", "MALLOC_", "GLIBC_", "LD_", "CUDA_", "IMGCLS_CPU_TUNING"),
    *("LC_", "LANG", "LOCPATH", "PYTHONUTF8", "PYTHONIOENCODING"),
)
"""How the names begin of variables that a library or Python reads when it loads."""
LIBRARIES = ("matplotlib.figure", "matplotlib.backends.backend_agg", "imgcls.app.program", "imgcls.app.training")


class WarmProcess:
    """A forked program, with the part of ``subprocess.Popen`` that the tests use; its output is in files."""

    def __init__(self, server: socket.socket, request: dict, joined: bool):
        self.args = [request["module"], *request["arguments"]]
        self.returncode: int | None = None
        self._files = [tempfile.TemporaryFile("w+") for _ in range(1 if joined else 2)]  # noqa: SIM115  until the end
        self._status, told = socket.socketpair()
        content = json.dumps(request).encode()
        outputs = [self._files[0].fileno(), self._files[-1].fileno()]
        socket.send_fds(server, [struct.pack("I", len(content))], [*outputs, told.fileno()])
        server.sendall(content)
        told.close()
        self.pid = self._number(None)

    def _number(self, timeout: float | None) -> int:
        """The next that is told: the process's id, then how it ended."""
        self._status.settimeout(timeout)
        content = self._status.recv(4, socket.MSG_WAITALL)
        assert len(content) == 4, "the process that starts programs has died"
        return struct.unpack("i", content)[0]

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            try:
                self.returncode = self._number(timeout)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout) from None
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str | None]:
        self.wait(timeout)
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read())
        return texts[0], texts[1] if len(texts) > 1 else None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class WarmStart:
    """The process that forks programs, started when the first is wanted."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._environment: dict[str, str] = {}

    def fits(self, environment: dict[str, str]) -> bool:
        """Whether a program with that environment would load the same libraries in the same way."""
        started = self._environment or os.environ
        names = {name for name in {*environment, *started} if name.startswith(READ_AT_LOAD)}
        return all(environment.get(name) == started.get(name) for name in names)

    def start(
        self, module: str, *arguments: str, cwd: Path, environment: dict[str, str], joined: bool = False
    ) -> WarmProcess:
        """Run ``python -m <module> <arguments>``; ``joined`` sends both outputs to one file."""
        if self._process is None:
            self._connection, theirs = socket.socketpair()
            self._environment = dict(os.environ)
            command = [sys.executable, __file__]
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
            theirs.close()
        request = {"module": module, "arguments": list(arguments), "cwd": str(cwd), "environment": environment}
        return WarmProcess(self._connection, request, joined)

    def close(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.wait()
            self._process = None


programs = WarmStart()
"""The one of this test process; ``conftest`` closes it."""


def serve(connection: socket.socket) -> dict | None:
    """Fork for each request. Returns the request in the forked program, ``None`` in the server at the end."""
    watching: list[int] = []
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
        if not head:
            return None
        (length,) = struct.unpack("I", head)
        request = json.loads(connection.recv(length, socket.MSG_WAITALL))
        watching = [pid for pid in watching if os.waitpid(pid, os.WNOHANG)[0] == 0]
        watching.append(os.fork())
        if watching[-1] == 0:
            connection.close()
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            watch(descriptors[2])
            return request | {"descriptors": descriptors[:2]}
        for descriptor in descriptors:
            os.close(descriptor)


def watch(told: int) -> None:
    """Fork once more and tell who it is and how it ends; only the one that is watched returns."""
    started, begin = os.pipe()
    program = os.fork()
    if program == 0:
        os.close(begin)
        os.read(started, 1)  # not before its id is known
        os.close(started)
        os.close(told)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(told, struct.pack("i", program))
    os.close(begin)
    _, status = os.waitpid(program, 0)
    os.write(told, struct.pack("i", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def become(request: dict) -> None:
    """Be the program that was asked for, as ``python -m`` begins it."""
    from imgcls.machine.processes import end_before_destructors

    end_before_destructors()  # a thread of Paddle's may have held a lock at the fork, which they would wait for
    for target, descriptor in enumerate(request["descriptors"], start=1):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:2] = [request["cwd"], *filter(None, own)]
    sys.argv[:] = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def load() -> None:
    """Load the libraries, and have done once what fills their own caches: a configuration composed, a figure drawn."""
    from imgcls.machine.installation import require_paddle

    require_paddle()
    for library in LIBRARIES:
        importlib.import_module(library)
    program = sys.modules["imgcls.app.program"]
    program.register_sources()
    with hydra.initialize_config_dir(str(program.conf_directory()), version_base="1.3"):
        hydra.compose("train")
    figure = sys.modules["matplotlib.figure"].Figure(layout="constrained")
    figure.subplots().plot([1, 2], label="line")
    figure.legend()
    figure.savefig(io.BytesIO())
    gc.freeze()


if __name__ == "__main__":
    load()
    if (asked := serve(socket.socket(fileno=os.dup(0)))) is not None:
        become(asked)
