"""Gradients of parameters of every kind and statistics, exchanged through memory: each rank writes what it has then.

Run as a program: ``python sharing.py <directory>``; rank ``n`` writes ``<n>.json``.
"""

import contextlib
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import paddle

from imgcls.engine.ranks import join
from imgcls.engine.shared_means import share_means
from imgcls.machine.processes import end_before_destructors
from imgcls.run.launcher import end_with_parent

UPDATES = 3
STORE = int(os.environ.get("PADDLE_MASTER", ":0").rpartition(":")[2])


def gradient(name: str, rank: int, update: int) -> list[list[float]] | None:
    """What a rank has found, if anything."""
    if name == "nobody's" or (name == "of some" and rank == 1) or (name == "of one" and (rank != 2 or update != 1)):
        return None
    return np.random.default_rng([len(name), rank, update]).integers(-99, 99, (3, 5)).astype(float).tolist()


DTYPES = {
    "in order": "float32",
    "turned": "float32",
    "double": "float64",
    "of some": "float32",
    "of one": "float32",
    "nobody's": "float32",
}

STATISTICS = ["float32", "float64"]
WITHOUT_STATISTICS = 1
"""An update."""


def statistic(number: int, rank: int, update: int) -> np.ndarray:
    """What a rank has before an update, ``[3, 2]``."""
    return np.random.default_rng([number, rank, update]).random((3, 2)).astype(STATISTICS[number])


def parameters() -> dict[str, paddle.Tensor]:
    return {name: paddle.create_parameter([3, 5], dtype) for name, dtype in DTYPES.items()}


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Inside, this process opens no file."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, most[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)


def connections_of_the_store() -> list[bool]:
    """Of each, whether it sends at once what Paddle writes in pieces."""
    said = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(link.name))) as one:
            if one.type == socket.SOCK_STREAM and STORE in (one.getsockname()[1], one.getpeername()[1]):
                said.append(bool(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    return said


def main(directory: Path) -> None:
    end_with_parent()
    paddle.set_device("cpu")
    ranks = join()
    trained = parameters()
    statistics = [paddle.zeros([3, 2], dtype) for dtype in STATISTICS]
    shared = share_means(trained.values(), statistics, ranks)
    found, means = [], []
    for update in range(UPDATES):
        for name, parameter in trained.items():
            values = gradient(name, ranks.rank, update)
            parameter.clear_gradient()  # as optimizers do: to zeros, where there was one
            if values is not None:
                factor = paddle.to_tensor(values, DTYPES[name])
                used, factor = (parameter.t(), factor.t()) if name == "turned" else (parameter, factor)
                (used * factor).sum().backward()
        for number, tensor in enumerate(statistics):
            tensor.set_value(statistic(number, ranks.rank, update))
        with_statistics = update != WITHOUT_STATISTICS
        shared.give(statistics=with_statistics)
        ranks.sum(paddle.zeros([1]))
        shared.take(statistics=with_statistics)
        means.append([tensor.tolist() for tensor in statistics])
        found.append({name: None if one.grad is None else one.grad.tolist() for name, one in trained.items()})
    with no_more_files() if ranks.rank == 1 else contextlib.nullcontext():
        without = share_means(trained.values(), [], ranks) is None
    too_much = ranks.shared_memory((2**40, 2**20)) is None
    half = all(
        share_means(*one, ranks) is None
        for one in (([paddle.create_parameter([2], "float16")], []), ([], [paddle.zeros([2], "float16")]))
    )
    said = {
        "found": found,
        "means": means,
        "without": without,
        "too_much": too_much,
        "half": half,
        "at_once": connections_of_the_store(),
    }
    (directory / f"{ranks.rank}.json").write_text(json.dumps(said))
    ranks.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    end_before_destructors()
