"""The processes of one run on this machine: started together, watched, stopped together.

Each process (rank) gets the environment that ``paddle.distributed.launch`` gives it, so what runs
under the one runs under the other. Paddle's launcher itself is not used: it sends SIGTERM three
times within a second, which leaves no time for a last checkpoint.
"""

import codecs
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from imgcls.errors import USER_ERROR_STATUS, Interrupted, UserError
from imgcls.machine import cpu, processes
from imgcls.machine.pulse import VARIABLE, Pulses
from imgcls.machine.signals import STOPPING, handle_stopping, restore_handlers

PARENT = "IMGCLS_PARENT"
"""Environment variable with the process id of the process that started this rank."""

POLL_SECONDS = 0.1
GRACE_SECONDS = 27.0
"""From a signal until the ranks that have not stopped by themselves are killed."""

SETTLE_SECONDS = 0.5
"""From the first death until a culprit is named: the others die of it soon after."""

STOP_SECONDS = 5.0
"""From there until survivors that did not stop on SIGTERM are killed."""

LONGEST_LOOK = 1.0
"""Seconds between two looks at the processes that count, however many have passed."""

HALTED = "was halted (as by SIGSTOP)"
TAIL_LINES = 20
LOCALHOST = "127.0.0.1"
FIRST_PORT = 6170
STOPPED = tuple(128 + number for number in STOPPING)


class RankFailed(UserError):
    """A rank ended by itself; the message says which and shows the end of its log.

    ``restartable`` tells a death (a crash, a kill) from a mistake that would be made again.
    """

    def __init__(self, message: str, restartable: bool):
        super().__init__(message)
        self.restartable = restartable


@dataclass(frozen=True)
class Job:
    """How many processes a run has, and where.

    Args:
        processes: on each machine.
        nodes: machines.
        node: number of this machine, from 0.
        master: ``host:port`` on machine 0 that all can reach; needed with several machines.
    """

    processes: int
    nodes: int = 1
    node: int = 0
    master: str | None = None

    @property
    def size(self) -> int:
        """Processes on all machines."""
        return self.processes * self.nodes

    @property
    def ranks(self) -> range:
        """Numbers of the processes on this machine."""
        return range(self.node * self.processes, (self.node + 1) * self.processes)

    def environments(self) -> list[dict[str, str]]:
        """What each process on this machine finds in its environment, besides what this one has."""
        # Only the master is ever connected to; of the endpoints, Paddle and imgcls.machine.cpu only count the hosts.
        hosts = [LOCALHOST] if self.nodes == 1 else [f"node-{node}" for node in range(self.nodes)]
        endpoints = [f"{host}:{FIRST_PORT + local}" for host in hosts for local in range(self.processes)]
        shared = {
            PARENT: str(os.getpid()),
            "PADDLE_TRAINERS_NUM": str(self.size),
            "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
            "PADDLE_MASTER": self.master or f"{LOCALHOST}:{free_port()}",
            "PADDLE_LOCAL_SIZE": str(self.processes),
        }
        return [
            {
                **shared,
                "PADDLE_TRAINER_ID": str(rank),
                "PADDLE_RANK_IN_NODE": str(local),
                "PADDLE_CURRENT_ENDPOINT": endpoints[rank],
                "FLAGS_selected_gpus": str(local),
            }
            for local, rank in enumerate(self.ranks)
        ]


def in_rank() -> bool:
    """Whether this process is one of several that a launcher has started."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1")) > 1


def is_first() -> bool:
    """Whether this process is rank 0, which writes and shows."""
    return os.environ.get("PADDLE_TRAINER_ID", "0") == "0"


def started_by_us() -> bool:
    """Whether the launcher is ``run_ranks``, in the parent process."""
    return os.environ.get(PARENT) == str(os.getppid())


def end_with_parent() -> None:
    """Let this rank be killed when the launcher that started it is gone."""
    processes.end_with_parent(int(os.environ.get(PARENT, 0)))


def free_port() -> int:
    """A TCP port that nobody listens on at present."""
    with socket.socket() as listener:
        listener.bind((LOCALHOST, 0))
        return listener.getsockname()[1]


def log_file(directory: Path, rank: int) -> Path:
    """Where everything goes that a rank prints."""
    return directory / f"rank-{rank}.log"


def run_ranks(command: list[str], job: Job, logs: Path, stdin: str = "", patience: float = float("inf")) -> None:
    """Run ``command`` in every process of ``job`` on this machine; return when all have ended well.

    What rank 0 prints is shown; what all print is appended to their files in ``logs``. Signals that
    ask to stop are passed on. Takes at most 30 seconds from a signal, and 10 from a death, to the end.

    Args:
        stdin: what each process reads from its standard input.
        patience: seconds without a sign of life (see ``imgcls.machine.pulse``), for which no process waits that
            is not waiting for others: it hangs.

    Raises:
        RankFailed: a process ended otherwise, or hangs; the others have been stopped.
        Interrupted: a signal came, here or to one of them, and all have stopped.
    """
    with _Ranks(command, job, logs, stdin, patience) as ranks:
        ranks.watch()


class _Ranks:
    """The running processes."""

    def __init__(self, command: list[str], job: Job, logs: Path, stdin: str, patience: float):
        self.command = command
        self.job = job
        self.logs = logs
        self.stdin = stdin
        self.patience = patience
        self.pulses = Pulses(job.processes)
        self.silences = [_Silence() for _ in job.ranks]
        self.processes: list[subprocess.Popen] = []
        self.received: signal.Signals | None = None
        self.first_death: float | None = None
        self.failure: RankFailed | None = None
        self.kill_at: float | None = None
        self.handlers: dict[signal.Signals, object] = {}
        self.output: _Output | None = None

    def __enter__(self) -> "_Ranks":
        self.logs.mkdir(parents=True, exist_ok=True)
        for rank in self.job.ranks:
            with log_file(self.logs, rank).open("a", encoding="utf-8") as log:
                log.write(f"--- rank {rank} of {self.job.size}, {datetime.now():%Y-%m-%d %H:%M:%S}\n")
        if 0 in self.job.ranks:
            self.output = _Output(log_file(self.logs, 0))
        self.handlers = handle_stopping(self._receive)
        inherited = cpu.inherited_environment()
        for local, own in enumerate(self.job.environments()):
            environment = {"GLOG_minloglevel": "2", **inherited, **own, VARIABLE: self.pulses.variable(local)}
            self.processes.append(self._start(self.job.ranks[local], environment))
        return self

    def __exit__(self, *exception) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        restore_handlers(self.handlers)
        self.pulses.close()
        if self.output:
            self.output.close()

    def watch(self) -> None:
        while True:
            codes = [process.poll() for process in self.processes]
            self._react(codes)
            if self.output:
                self.output.copy()
            if None not in codes:
                return self._conclude(codes)
            time.sleep(POLL_SECONDS)

    def _start(self, rank: int, environment: dict[str, str]) -> subprocess.Popen:
        with log_file(self.logs, rank).open("a", encoding="utf-8") as log:
            # A session of its own keeps the terminal's Ctrl-C to the parent, which passes it on.
            process = subprocess.Popen(
                self.command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                start_new_session=True,
                pass_fds=(self.pulses.descriptor,),
            )
        try:
            process.stdin.write(self.stdin)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has died already, which is noticed as of any other
        return process

    def _receive(self, number: int, frame: object) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            self.kill_at = time.monotonic()  # a person who presses Ctrl-C twice does not want to wait
        self.received = self.received or signal.Signals(number)

    def _react(self, codes: list[int | None]) -> None:
        now = time.monotonic()
        if self.received is None and (stopped := [code for code in codes if code in STOPPED]):
            self.received = signal.Signals(stopped[0] - 128)
        if self.received is not None and self.kill_at is None:
            self._terminate(now + GRACE_SECONDS)
        if self.received is None and self.failure is None and any(code not in (None, 0) for code in codes):
            self.first_death = self.first_death or now
            if now - self.first_death > SETTLE_SECONDS:
                self.failure = self._failure(codes)
                self._terminate(now + STOP_SECONDS)
        if self.received is None and self.failure is None and (hanging := self._hanging(codes)) is not None:
            self.failure = self._hang(hanging)
            self._terminate(now + STOP_SECONDS)
        if self.kill_at is not None and now >= self.kill_at:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()

    def _terminate(self, kill_at: float) -> None:
        self.kill_at = kill_at
        for process in self.processes:
            if process.poll() is None:
                process.terminate()

    def _conclude(self, codes: list[int]) -> None:
        if self.failure is None and self.received is None and any(codes):
            self.failure = self._failure(codes)
        if self.failure:
            raise self.failure
        if self.received and any(codes):
            stopped = all(code in STOPPED for code in codes)
            how = "have stopped" if stopped else "have stopped, but not all by themselves: the last checkpoint stands"
            raise Interrupted(
                f"{self.received.name}: all {self.job.processes} processes {how}.", status=128 + self.received
            )

    def _failure(self, codes: list[int | None]) -> RankFailed:
        """Of several dead ranks, name the one whose death is least likely to follow from another's.

        A rank that is halted comes before those that gave up on it.
        """
        dead = [(_blame(code), local) for local, code in enumerate(codes) if code not in (None, 0)]
        blame, local = min(dead)
        halted = [place for place, code in enumerate(codes) if code is None and self._is_halted(place)]
        if halted and blame >= CONSEQUENCE:
            return self._named(halted[0], f"{HALTED}, and the others gave up on it", restartable=True)
        return self._named(local, processes.how_it_ended(codes[local]), restartable=USER_ERROR_STATUS not in codes)

    def _hanging(self, codes: list[int | None]) -> int | None:
        """The place of a process that has been silent for too long; a halted one before others."""
        for place, silence in enumerate(self.silences):
            count, waiting = self.pulses.read(place)
            silence.look(count, waiting and not self._is_halted(place))
        silent = [
            (not self._is_halted(place), -silence.seconds, place)
            for place, silence in enumerate(self.silences)
            if codes[place] is None and silence.seconds >= self.patience
        ]
        return min(silent)[-1] if silent else None

    def _hang(self, local: int) -> RankFailed:
        how = HALTED if self._is_halted(local) else "hangs"
        what = f"{how}: it has shown no sign of life for {self.patience:g} seconds (trainer.rank_timeout)"
        return self._named(local, what, restartable=True)

    def _is_halted(self, local: int) -> bool:
        return processes.is_halted(self.processes[local].pid)

    def _named(self, local: int, what: str, restartable: bool) -> RankFailed:
        rank = self.job.ranks[local]
        path = log_file(self.logs, rank)
        message = f"Rank {rank} of {self.job.size} {what}; all were stopped. The end of its log, {path}:\n{_tail(path)}"
        return RankFailed(message, restartable)


class _Silence:
    """For how long a process has been at one piece of work, by the time that this process was awake itself."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._count = 0
        self._looked = time.monotonic()

    def look(self, count: int, waiting: bool) -> None:
        """Take note of what a process shows now; one that has not begun is not silent."""
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        moves = count != self._count
        self._count = count
        # A job that was suspended as a whole, or a machine asleep, is not to be found silent on its return.
        self.seconds = 0.0 if moves or waiting or not count else self.seconds + min(passed, LONGEST_LOOK)


class _Output:
    """Shows on the terminal what is appended to a file from now on."""

    def __init__(self, path: Path):
        self.file = path.open("rb")
        self.file.seek(0, os.SEEK_END)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def copy(self) -> None:
        text = self.decoder.decode(self.file.read())
        if text and sys.stderr is not None:
            with contextlib.suppress(OSError):  # nobody listens any more: the ranks go on, and all is in their logs
                sys.stderr.write(text)
                sys.stderr.flush()

    def close(self) -> None:
        self.file.close()


CONSEQUENCE = 2
"""From here on a death may come of another rank's."""


def _blame(code: int) -> int:
    """Rank exit statuses: a stated mistake, a kill from outside, a crash, then what a lost connection causes."""
    if code == USER_ERROR_STATUS:
        return 0
    return 1 if code < 0 and code != -signal.SIGABRT else 2 if code > 0 else 3


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(f"  {line}" for line in lines)
