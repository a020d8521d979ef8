"""A few updates of a small network, with what they cost this rank: bytes from the others, memory, time.

Run as a program: ``python traffic.py <directory> <norms> <updates>``; each rank writes
``<norms>-<rank>.json``. ``norms`` is ``own`` or ``synchronised``.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

import paddle

from imgcls.callbacks.ema import EMA
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.engine.callback import Callback
from imgcls.engine.optimizers import build_optimizer
from imgcls.engine.ranks import join
from imgcls.engine.sync_batch_norm import SyncBatchNorm, synchronise_batch_norms
from imgcls.engine.trainer import Trainer
from imgcls.functional.normalize import normalize
from imgcls.machine.processes import end_before_destructors
from imgcls.models.registry import build_model
from imgcls.run.launcher import end_with_parent, in_rank

MODEL, SIZE, CLASSES, BATCH = "mobilenetv1_x0_25", 32, 1000, 4
BYTES_RECEIVED = struct.Struct("128xQ")
"""Where Linux has the count of payload bytes in ``struct tcp_info``."""


def bytes_received() -> int:
    """From the first to now, on the TCP connections that this process has open."""
    total = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if not os.readlink(link).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(link.name))) as connection:
                if connection.type == socket.SOCK_STREAM and connection.family in (socket.AF_INET, socket.AF_INET6):
                    information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED.size)
                    total += BYTES_RECEIVED.unpack(information)[0]
    return total


class Record(Callback):
    """After every update: when it was, and what has been received."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []
        self.received: list[int] = []

    def on_train_batch_end(self, step, logs=None):
        self.times.append(time.time())
        self.received.append(bytes_received())


def nbytes(tensors) -> int:
    return sum(tensor.size * tensor.element_size() for tensor in tensors)


def main(directory: Path, norms: str, updates: int) -> None:
    times = {"imported": time.time()}
    if in_rank():
        end_with_parent()
    paddle.set_device("cpu")
    ranks = join()
    times["joined"] = time.time()
    paddle.seed(0)
    network = build_model(MODEL, num_classes=CLASSES)
    if norms == "synchronised" and ranks.count > 1:
        network = synchronise_batch_norms(network)
    trainer = Trainer(network, lambda images: normalize(images, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    optimizer = build_optimizer("momentum", network, 0.01, momentum=0.9, use_nesterov=False, weight_decay=1e-4)
    trainer.prepare(optimizer)
    samples = synthetic_samples(updates * BATCH * ranks.count, CLASSES)
    sampler = EpochSampler(len(samples), BATCH, ranks.rank, ranks.count)
    record, ema = Record(), EMA(0.9999)
    times["built"] = time.time()
    trainer.fit(build_loader(SyntheticDataset(samples, SIZE), sampler), 1, [ema, record])
    times["first_update"] = record.times[0]
    parameters = network.parameters()
    accumulators = [tensor for of_kind in optimizer._accumulators.values() for tensor in of_kind.values()]
    cost = {
        "received": record.received,
        "times": times,
        "parameters": sum(parameter.size for parameter in parameters if not parameter.stop_gradient),
        "statistics": sum(parameter.size for parameter in parameters if parameter.stop_gradient),
        "norm_channels": [layer.weight.size for layer in network.sublayers() if isinstance(layer, SyncBatchNorm)],
        "weights": nbytes(network.state_dict().values()),
        "optimizer": nbytes(accumulators),
        "averages": nbytes(ema.shadow.values()),
    }
    (directory / f"{norms}-{ranks.rank}.json").write_text(json.dumps(cost))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    end_before_destructors()
