"""Collectives of the processes of one run; without effect in a process by itself.

Every rank must make the same calls in the same order, as with any collective.
"""

import contextlib
import io
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.distributed import fleet

from imgcls.errors import UserError
from imgcls.machine import pulse
from imgcls.machine.paddle_internals import one_group, rendezvous_store
from imgcls.machine.shared_array import SentArray, borrowed
from imgcls.machine.sockets import send_at_once

LISTENING = "0A"
PORT_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTENER_PATIENCE = 60.0


class Ranks:
    """The processes of a run: this one is number ``rank`` of ``count``."""

    def __init__(self, rank: int = 0, count: int = 1):
        self.rank = rank
        self.count = count
        self._store = rendezvous_store() if count > 1 else None
        self._calls = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and shows."""
        return self.rank == 0

    def sum(self, tensor: paddle.Tensor) -> paddle.Tensor:
        """The sum over the ranks, in place."""
        if self.count > 1:
            with pulse.waiting():
                paddle.distributed.all_reduce(tensor)
        return tensor

    def gather(self, tensor: paddle.Tensor) -> paddle.Tensor:
        """The tensors of all ranks, ``[count, ...]``, in their order."""
        if self.count == 1:
            return tensor.unsqueeze(0)
        parts: list[paddle.Tensor] = []
        with pulse.waiting():
            paddle.distributed.all_gather(parts, tensor)
        return paddle.stack(parts)

    def gather_values(self, value: Any) -> list[Any]:
        """Values of JSON's types, of all ranks in their order; as patient as ``barrier``."""
        if self.count == 1:
            return [value]
        key = self._next_key("gather")
        self._store.set(f"{key}/{self.rank}", json.dumps(value))
        values = [json.loads(self._get(f"{key}/{rank}")) for rank in range(self.count)]
        self.barrier()
        return values

    def shared_memory(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Bytes, zeros at first, that all ranks see; ``None`` on every one where any cannot: they are on several
        machines, or in containers that hide their processes from each other, or have another system than Linux."""
        lent, name = None, ""
        if self.first:
            with contextlib.suppress(OSError, OverflowError, AttributeError):  # too little memory; no such system call
                lent = SentArray(shape)
                name = lent.lend()
        name = self.broadcast(name)
        array = lent.array if lent else borrowed(name, shape)
        return array if all(self.gather_values(array is not None)) else None

    def all_or_none(self, act: Callable[[], None], undo: Callable[[], None]) -> None:
        """Do something on every rank, or, where one of them is refused it, on none: else some would wait for others.

        Raises:
            UserError: on every rank, by the message of the first that was refused.
        """
        refusal = None
        try:
            act()
        except UserError as error:
            refusal = str(error)
        refusals = [one for one in self.gather_values(refusal) if one]
        if refusals:
            undo()
            raise UserError(refusals[0])

    def broadcast(self, text: str = "") -> str:
        """The text of rank 0."""
        if self.count == 1:
            return text
        key = self._next_key("broadcast")
        if self.first:
            self._store.set(key, text)
            return text
        return self._get(key)

    def wait_for_first(self) -> None:
        """Return when rank 0 has come this far, from work that only it does.

        gloo's collectives give up on a rank after 30 seconds, this after 15 minutes. NCCL's have
        that patience themselves, so on GPUs nothing is done.
        """
        if self._needs_patience():
            key = self._next_key("wait_for_first")
            self._store.set(key, "go") if self.first else self._get(key)

    def barrier(self) -> None:
        """Return when all ranks are here, as patiently as ``wait_for_first``; rank 0 last, whose store they use."""
        if not self._needs_patience():
            return
        key = self._next_key("barrier")
        if not self.first:
            self._store.set(f"{key}/{self.rank}/here", "yes")
            self._get(f"{key}/go")
            self._store.set(f"{key}/{self.rank}/gone", "yes")
            return
        for rank in range(1, self.count):
            self._get(f"{key}/{rank}/here")
        self._store.set(f"{key}/go", "yes")
        for rank in range(1, self.count):
            self._get(f"{key}/{rank}/gone")

    def _get(self, key: str) -> str:
        with pulse.waiting():
            return self._store.get(key).decode()

    def _needs_patience(self) -> bool:
        return self.count > 1 and paddle.distributed.get_backend() == "GLOO"

    def _next_key(self, kind: str) -> str:
        self._calls += 1
        return f"imgcls/{kind}/{self._calls}"


_joined: Ranks | None = None


def join() -> Ranks:
    """Connect to the other processes of the run, if the launcher's variables name any.

    ``paddle.set_device`` comes first: on the CPU they talk over gloo, on GPUs over NCCL.
    """
    global _joined
    if _joined is None and paddle.distributed.ParallelEnv().nranks > 1:
        if paddle.device.get_device() == "cpu":
            os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
        _await_master()
        with quiet(), one_group():
            rendezvous_store()
            send_at_once(_master()[1])
            fleet.init(is_collective=True, log_level="ERROR")
        _joined = Ranks(paddle.distributed.get_rank(), paddle.distributed.get_world_size())
    return current()


def current() -> Ranks:
    """The ranks this process has joined, or itself as the only one."""
    return _joined or Ranks()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Paddle lists changed flags, and groups a rank is not in, whenever it sets up communication."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _await_master() -> None:
    """Wait for rank 0 to listen, if it is on this machine: Paddle retries only every 3 seconds."""
    host, port = _master()
    if os.environ.get("PADDLE_TRAINER_ID") == "0" or host not in ("127.0.0.1", "localhost"):
        return
    deadline = time.monotonic() + LISTENER_PATIENCE
    while not _is_listening(port) and time.monotonic() < deadline:
        time.sleep(0.02)


def _master() -> tuple[str, int]:
    """Host and port of the store, where the launcher names them, as all new ones do; else nothing and 0."""
    host, _, port = os.environ.get("PADDLE_MASTER", "").rpartition(":")
    return host, int(port) if port.isdecimal() else 0


def _is_listening(port: int) -> bool:
    wanted = f":{port:04X}"
    for table in PORT_TABLES:
        try:
            rows = [line.split() for line in Path(table).read_text(encoding="utf-8").splitlines()[1:]]
        except OSError:
            return True  # no such table here: let Paddle try
        if any(local.endswith(wanted) and state == LISTENING for _, local, _, state, *_ in rows):
            return True
    return False
