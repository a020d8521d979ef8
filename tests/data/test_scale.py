"""ImageNet's 1,281,167 images: ready at once, in little memory, and not copied by the workers."""

import os
import subprocess
import sys

import numpy as np
import pytest
from locations import ROOT

from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.tar_index import ShardIndex, _shards, save_index

COUNT = 1_281_167
EVERY = 8
"""An index is ready sooner than the path of one image in so many is spelled, so nothing in it goes image by image."""

MEGABYTES = 200
WORKER_MEGABYTES = 20

WORKERS = """
import multiprocessing, re, sys
import numpy as np
from imgcls.data.loading.dataset import ClassificationDataset
from imgcls.data.formats.list_file import read_list
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler

class Names(ClassificationDataset):
    # What an epoch does with the samples themselves, without a million files.
    def image(self, epoch, index):
        assert self.samples.path(index).endswith(".JPEG")
        return PIXEL

def megabytes(pid, what):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(rf"^{what}:\\s+(\\d+) kB", file.read(), re.MULTILINE)[1]) / 1024

PIXEL = np.zeros((1, 1, 3), np.uint8)
samples = read_list(sys.argv[1], sys.argv[2], num_classes=1000, check_files="none")
loader = build_loader(Names(samples), EpochSampler(len(samples), 512, shuffle=True), 1)
seen = 0
for number, (_, _, indices) in enumerate(loader):
    seen += len(indices)
    if number in (1, len(loader) - 20):
        worker = multiprocessing.active_children()[0].pid
        print(megabytes(worker, "Private_Clean") + megabytes(worker, "Private_Dirty"), megabytes(worker, "Pss"))
print(seen)
"""

TAR = """
import re, sys
from time import process_time
from imgcls.data.formats.shards import shard_samples
from imgcls.data.formats.tar_index import read_index
ready, spelled = [], []
for attempt in range(3):  # the smallest is the work itself; another program may have the memory meanwhile
    started = process_time()
    samples = shard_samples(read_index(sys.argv[1]), sys.argv[1])
    ready.append(process_time() - started)
    if attempt == 0:
        with open("/proc/self/status") as file:
            peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read()).group(1)) / 1024
    started = process_time()
    for index in range(0, len(samples), int(sys.argv[2])):
        samples.path(index)
    spelled.append(process_time() - started)
print(len(samples), samples.path(len(samples) - 1), min(ready) / min(spelled), peak)
"""


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.full
def test_a_worker_keeps_no_copy_of_a_list_over_an_epoch(tmp_path):
    with (tmp_path / "train_list.txt").open("w") as file:
        for i in range(COUNT):
            file.write(f"train/n{1440764 + i % 1000:08d}/n{1440764 + i % 1000:08d}_{i}.JPEG {i % 1000}\n")
    *measured, seen = run(WORKERS, tmp_path, tmp_path / "train_list.txt")
    assert int(seen) == COUNT
    before, after = (np.array(line.split(), float) for line in measured)  # private, proportional; both with Paddle's
    assert (after - before < WORKER_MEGABYTES / 2).all()
    assert after[0] < 2 * WORKER_MEGABYTES


def test_an_index_of_shards_is_ready_at_once_and_small(tmp_path):
    with (tmp_path / "00000.tar").open("wb") as shard:
        shard.truncate(120_000 * COUNT + 1000)  # a hole, as long as the index says
    names = [b"n%08d/n%08d_%d.JPEG" % (i % 1000, i % 1000, i) for i in range(COUNT)]
    zeros = np.zeros(COUNT, np.int32)
    lengths = np.array([len(name) for name in names])
    classes = np.arange(COUNT, dtype=np.int32) % 1000
    offsets = 120_000 * np.arange(COUNT, dtype=np.int64)
    folders = tuple(f"n{i:08d}" for i in range(1000))
    index = ShardIndex(
        _shards(tmp_path), folders, b"".join(names), lengths, classes, zeros, offsets, lengths, LeftOut()
    )
    save_index(index, tmp_path / "index.npz")
    count, path, share, peak = run(TAR, tmp_path, EVERY)[0].split()
    assert int(count) == COUNT
    assert path == f"{tmp_path}/00000.tar/{names[-1].decode()}"
    assert float(share) < 1
    assert float(peak) < MEGABYTES
