"""Programs of the library started from a process that has loaded Paddle already: a fork instead of two seconds.

``python tests/warm_start.py`` is that process. What it forks is a process of its own, with its own arguments,
directory, environment and output, that runs ``python -m <module>`` from the first line on; only the libraries
are there before. Variables that count when a library loads cannot be changed for it: ``fits`` says so, and such
a program is started as usual. The ranks that a program starts are forked in the same way, and are its children.
"""

import atexit
import contextlib
import ctypes
import fcntl
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
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import hydra

ROOT = Path(__file__).parent.parent
READ_AT_LOAD = (
    *("OMP_", "MKL_", "FLAGS_", "MALLOC_", "GLIBC_", "LD_", "CUDA_", "IMGCLS_CPU_TUNING"),
    *("LC_", "LANG", "LOCPATH", "PYTHONUTF8", "PYTHONIOENCODING"),
)
"""How the names begin of variables that a library or Python reads when it loads."""
OF_RANKS = ("FLAGS_selected_gpus",)
"""What each rank is told of a device; to a Paddle for CPUs it says nothing."""
LAUNCHER = "paddle.distributed.launch"
LIBRARIES = ("matplotlib.figure", "matplotlib.backends.backend_agg", "imgcls.app.program", "imgcls.app.training")
WORDS = ("+a.b=1", "+a.c=0.5", "+a.d=[1,1]", "+a.e=x-y_z/v.w", "+a.f=true", "+a.g=null", "+a.h={i:1e-3}", "+a.j='k l'")
"""Of every kind that commands have: the parser learns from each how to read the next."""
PR_SET_CHILD_SUBREAPER = 36
BEYOND = 500
"""Descriptors from here on are in nobody's way."""


def loads_the_same(environment: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether libraries that are loaded under the one are as they would be under the other."""
    names = {name for name in {*environment, *other} if name.startswith(READ_AT_LOAD)}
    return all(environment.get(name) == other.get(name) for name in names)


def is_ours(module: str, directory: str | Path = "") -> bool:
    """Whether a module is one of this library or of a test."""
    return module.startswith("imgcls.") or Path(directory, f"{module}.py").is_file()


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
        return loads_the_same(environment, self._environment or os.environ)

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
    if starts_others(request) and (asked := start_warm_from_here()) is not None:
        request = asked
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:2] = [request["cwd"], *filter(None, own)]
    sys.argv[:] = [request["module"], *request["arguments"]]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        end(ended.code or 0)
        raise
    end(0)


def end(status: int) -> None:
    """Do what Python does at its end, but for taking everything apart that the forks share: a seventh of a second.

    Threads are waited for, functions for the exit are called, output is written. Returns if that cannot be, and
    Python then ends as it does.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit(status)


def starts_others(request: dict) -> bool:
    """Whether a program seems to start processes of the library itself, on Linux and on CPUs."""
    if sys.platform != "linux" or sys.modules["paddle"].is_compiled_with_cuda():
        return False
    several = any(".processes=" in word or ".nodes=" in word for word in request["arguments"])
    return several or request["module"] in ("imgcls.benchmark", LAUNCHER)


def start_warm_from_here() -> dict | None:
    """Keep a process as this one is now, and let it fork what this one starts with ``subprocess``.

    What is forked is a child of this process, which gets the orphans among its descendants. Returns ``None`` here,
    and the request in what is forked.
    """
    here, there = socket.socketpair()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.fork() == 0:
        here.close()
        return serve_parent(there)
    there.close()
    environment = dict(os.environ)

    class WarmPopen(subprocess.Popen):
        """Of a module of ours that would load the same libraries, a fork."""

        def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others):
            ours = list(args[:2]) == [sys.executable, "-m"] and is_ours(args[2])
            leads = preexec_fn is os.setsid  # how Paddle's own launcher asks for a session
            plain = {name: value for name, value in (env or {}).items() if name not in OF_RANKS}
            otherwise = cwd or env is None or (preexec_fn and not leads)
            if not ours or otherwise or not loads_the_same(plain, environment):
                return super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others)
            _, _, _, p2cread, _, _, c2pwrite, _, errwrite, *_, new_session, _ = others
            given = [number if number >= 0 else own for own, number in enumerate((p2cread, c2pwrite, errwrite))]
            request = {"module": args[2], "arguments": list(args[3:]), "cwd": os.getcwd(), "environment": env}
            content = json.dumps(request | {"session": new_session or leads, "passed": list(pass_fds)}).encode()
            socket.send_fds(here, [struct.pack("I", len(content))], [*given, *pass_fds])
            here.sendall(content)
            (self.pid,) = struct.unpack("i", here.recv(4, socket.MSG_WAITALL))
            self._child_created = True
            self._close_pipe_fds(*others[3:9])

    subprocess.Popen = WarmPopen
    return None


def serve_parent(connection: socket.socket) -> dict:
    """Fork for each request of the parent, which becomes the parent of what is forked, too; end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, 4, 16)
        if not head:
            os._exit(0)
        request = json.loads(connection.recv(struct.unpack("I", head)[0], socket.MSG_WAITALL))
        told, tell = os.pipe()
        between = os.fork()
        if between == 0:
            between = os.getpid()
            program = os.fork()
            if program:
                os.write(tell, struct.pack("i", program))
                os._exit(0)
            break
        os.waitpid(between, 0)
        connection.sendall(os.read(told, 4))
        for descriptor in (*descriptors, told, tell):
            os.close(descriptor)
    while os.getppid() == between:
        time.sleep(0.001)
    for descriptor in (connection.detach(), told, tell):
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["session"]:
        os.setsid()
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, BEYOND) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, target in zip(moved, (0, 1, 2, *request["passed"]), strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    if "PADDLE_TRAINER_ID" in os.environ:  # which /proc shows of those that were started with it
        Path("/proc/self/comm").write_text(f"rank-{os.environ['PADDLE_TRAINER_ID']}")
    return request


def load() -> None:
    """Load the libraries, and have done once what fills their own caches: configurations made, a figure drawn."""
    from imgcls.machine.installation import require_paddle

    require_paddle()
    for library in LIBRARIES:
        importlib.import_module(library)
    program = sys.modules["imgcls.app.program"]
    program.register_sources()
    with hydra.initialize_config_dir(str(program.conf_directory()), version_base="1.3"):
        hydra.compose("train", WORDS)
        program.typed(hydra.compose("train"), "train")
    for name in program.SCHEMAS:
        program._schema(name)
    figure = sys.modules["matplotlib.figure"].Figure(layout="constrained")
    figure.subplots().plot([1, 2], label="line")
    figure.legend()
    figure.savefig(io.BytesIO())
    gc.freeze()


if __name__ == "__main__":
    load()
    if (asked := serve(socket.socket(fileno=os.dup(0)))) is not None:
        become(asked)
