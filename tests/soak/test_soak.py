"""The service at 80 % of what it can do for ten minutes, the loader over a million samples: nothing grows.

Times are printed and not judged: whoever runs this knows what else the machine did. ``pytest --full -s``.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import pytest
from locations import ROOT

import imgcls
from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.formats.class_names import default_class_names
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import Contract
from imgcls.deploy.exporter import export
from imgcls.machine.cpu import inherited_environment

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
CONNECTIONS = 8
PATIENCE = 120
OUT_OF_TIME = (413, 503)
"""What the service answers when decoding or computing took too long, as on a machine that others keep busy."""

GROWTH_MEGABYTES = 40
"""What a process's memory may differ between two halves of the time."""

pytestmark = pytest.mark.full


@pytest.fixture
def service(tmp_path):
    """The process and its port."""
    seen = Preprocessing.of_model(imgcls.model_info("squeezenet1_1"))
    values = {"model": "squeezenet1_1", "input": "float", "preprocessing": seen, "output": "logits"}
    contract = Contract(**values, class_names=default_class_names(1000))
    export(imgcls.create_model("squeezenet1_1", pretrained=True), contract, tmp_path / "served")
    clients, log = ROOT / "scripts" / "clients", tmp_path / "log"
    command = [sys.executable, "-I", clients / "without_imgcls.py", clients / "service", tmp_path / "served"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*map(str, command), "--port", "0"], env=inherited_environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"running on http://[\d.]+:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield process, int(found[1])
    finally:
        process.kill()
        process.wait()


class Load:
    """Requests from several connections, ``rate`` a second of all together, or as many as there can be."""

    def __init__(self, port: int):
        self.port = port
        self.photos = [path.read_bytes() for path in sorted(SAMPLE_PHOTOS.glob("val/*/*.jpg"))]
        self.answers: list[tuple[float, float, int]] = []

    def run(self, seconds: float, rate: float | None = None) -> list[tuple[float, float, int]]:
        """When each was due, how long it took from then, and its status."""
        self.answers, numbers, start = [], count(), time.monotonic()

        def connection() -> None:
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE) as client:
                while True:
                    number = next(numbers)
                    due = start + number / rate if rate else time.monotonic()
                    if due > start + seconds:
                        return
                    time.sleep(max(0, due - time.monotonic()))
                    photo = self.photos[number % len(self.photos)]
                    status = client.post("/predict?topk=1", content=photo).status_code
                    self.answers.append((due - start, time.monotonic() - due, status))

        threads = [threading.Thread(target=connection) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.answers


def megabytes(pid: int) -> float:
    """Resident, of a process and its children; what they share counts for each."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in [pid, *children])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def ticks(*states: int) -> int:
    """Of the processors since the machine started: those of some columns of ``/proc/stat``, or of all."""
    numbers = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(numbers[state] for state in states or range(8))


IDLE, STOLEN = 3, 7
"""Columns of ``/proc/stat``; stolen is what a virtual machine wanted and its host gave to others."""


def test_the_service_at_80_percent(service, capsys):
    process, port = service
    load = Load(port)
    load.run(5)
    most = len(load.run(20)) / 20
    memory: list[float] = []
    processors: list[tuple[int, int, int]] = [(ticks(), ticks(IDLE), ticks(STOLEN))]
    stop = threading.Event()

    def watch() -> None:
        for number in count(1):
            if stop.wait(MINUTES / 2):
                break
            memory.append(megabytes(process.pid))
            if number % 12 == 0:
                processors.append((ticks(), ticks(IDLE), ticks(STOLEN)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = load.run(60 * MINUTES, 0.8 * most)
    stop.set()
    watcher.join()
    most_after = len(load.run(20)) / 20
    halves = [[one for one in answers if (one[0] > 30 * MINUTES) == later] for later in (False, True)]
    tenths = [[took for due, took, _ in answers if due // (6 * MINUTES) == number] for number in range(10)]
    spent = np.diff(np.array(processors, dtype=float), axis=0)
    figures = {
        "images a second at most, before and after": [round(most, 1), round(most_after, 1)],
        "answers": dict(Counter(status for *_, status in answers)),
        "p50 and p99 of each half, ms": [
            [round(1000 * float(np.percentile([took for _, took, _ in half], share)), 1) for share in (50, 99)]
            for half in halves
        ],
        "p99 of each tenth, ms": [round(1000 * float(np.percentile(took, 99)), 1) for took in tenths],
        "processors in each tenth, percent idle": (100 * spent[:, 1] / spent[:, 0]).round(1).tolist(),
        "and percent that the host gave to others": (100 * spent[:, 2] / spent[:, 0]).round(1).tolist(),
        "memory, MB: first, largest, last": [round(memory[0]), round(max(memory)), round(memory[-1])],
    }
    with capsys.disabled():
        print("\n" + json.dumps(figures, indent=1))
    assert {status for *_, status in answers} <= {200, *OUT_OF_TIME}
    assert 200 in {status for *_, status in answers}
    first, second = np.array_split(np.array(memory), 2)
    assert np.median(second) < np.median(first) + GROWTH_MEGABYTES, memory


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_loader_over_a_million_samples(num_workers, capsys):
    samples = synthetic_samples(1_000_000, 100)
    loader = build_loader(SyntheticDataset(samples, 8), EpochSampler(len(samples), 256, shuffle=True), num_workers)
    memory, seen = [], 0
    for number, (_, labels, _) in enumerate(loader):
        seen += labels.shape[0]
        if number % 100 == 99:
            memory.append(megabytes(os.getpid()))
    with capsys.disabled():
        print(
            f"\n{num_workers} workers, {seen:,} samples: {memory[1]:.0f} MB after 50,000, {memory[-1]:.0f} at the end"
        )
    assert seen == len(samples)
    assert memory[-1] < memory[1] + GROWTH_MEGABYTES, memory
