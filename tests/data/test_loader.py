"""Loading: the same batches with any number of workers, and every failure as one message."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import paddle
import pytest
from values_of_conf import train_transform
from warm_start import programs

from imgcls.data.formats.build import build_samples
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.dataset import ClassificationDataset, ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.errors import UserError
from imgcls.machine.shared_array import shared_array


class Troublesome(ClassificationDataset):
    """Calls ``trouble`` when sample ``at`` is asked for."""

    def __init__(self, trouble, at=9, count=32):
        super().__init__(synthetic_samples(count, 4))
        self.trouble = trouble
        self.at = at

    def image(self, epoch, index):
        if index == self.at:
            self.trouble()
        return np.full((8, 8, 3), index, np.uint8)


def loader_of(dataset, num_workers, batch_size=4, **options):
    return build_loader(dataset, EpochSampler(len(dataset), batch_size), num_workers, **options)


def arrays(loader):
    return [[tensor.numpy() for tensor in batch] for batch in loader]


def children():
    """Pids of this process's children that are alive."""
    return [process.pid for process in multiprocessing.active_children()]


def run(directory, script):
    """What a script does in a process and a group of its own, where Paddle is loaded already."""
    (directory / "script.py").write_text(script)
    process = programs.start("script", cwd=directory, environment=dict(os.environ))
    try:
        output, errors = process.communicate(300)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def wait_until(condition):
    """The time is for a machine that is busy with other things; what is waited for has no time of its own."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def photos():
    return build_samples("sample")


def test_batches_do_not_depend_on_the_number_of_workers(photos):
    dataset = ImageDataset(photos, train_transform(48, color_jitter=(0.2, 0.2, 0.2, 0.1)), seed=4)
    sampler = EpochSampler(len(dataset), 16, shuffle=True, seed=2)
    sampler.set_position(3)
    results = {workers: arrays(build_loader(dataset, sampler, workers)) for workers in (0, 1, 2)}
    assert [len(batch[0]) for batch in results[0]] == [16] * 5 + [5]
    indices = [batch[2].tolist() for batch in results[0]]
    assert indices == [[index for _, index in keys] for keys in sampler]
    for batches in results.values():
        for batch, expected in zip(batches, results[0], strict=True):
            for tensor, wanted in zip(batch, expected, strict=True):
                assert tensor.dtype == wanted.dtype
                assert (tensor == wanted).all()


@pytest.mark.parametrize("prefetch", [1, 3])
@pytest.mark.parametrize("dataset_class", [SyntheticDataset, "unknown shape"])
def test_a_batch_stays_what_it_was_while_workers_run_ahead(prefetch, dataset_class):
    made = shared_array((61,))

    class Noted(SyntheticDataset):
        def image(self, epoch, index):
            made[index] += 1
            return super().image(epoch, index)

    class Unsaid(Noted):
        image_shape = property(lambda self: None, lambda self, shape: None)

    dataset = (Unsaid if dataset_class == "unknown shape" else Noted)(synthetic_samples(61, 61), 8)
    seen = []
    for number, batch in enumerate(loader_of(dataset, 2, prefetch=prefetch)):
        if number in (1, 8):
            ahead = 4 * (number + 1 + 2 * prefetch)
            wait_until(lambda: made.sum() == min(61, ahead))  # noqa: B023 (called here): all the room is filled
        seen.append(batch)
    assert [len(images) for images, _, _ in seen] == [4] * 15 + [1]
    for images, _, indices in seen:
        for image, index in zip(images.numpy(), indices.tolist(), strict=True):
            assert (image == dataset.image(0, index)).all()


def test_too_large_batches_are_one_message():
    loader = loader_of(SyntheticDataset(synthetic_samples(4, 4), 9999), 2, batch_size=2**33)
    with pytest.raises(UserError, match=r"no memory for 4 batches of 2 data workers, \S+ MB\. Use fewer workers"):
        next(iter(loader))


def with_shared_memory_of(kilobytes: int, program: str, *, full: bool = False) -> subprocess.CompletedProcess:
    """A program that sees a ``/dev/shm`` of this size, which may be full already."""
    fill = "; dd if=/dev/zero of=/dev/shm/filling bs=1k 2>/dev/null" if full else ""
    mount = f"mount -t tmpfs -o size={kilobytes}k none /dev/shm{fill}"
    command = ["unshare", "--mount", "sh", "-c", f'{mount}; exec "$0" -c "$1"', sys.executable, program]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


can_mount = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
needs_mounts = pytest.mark.skipif(not can_mount, reason="needs the right to mount a file system")

LARGE = """
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.errors import UserError
try:
    for images, _, _ in build_loader(SyntheticDataset(synthetic_samples(200, 4), 96), EpochSampler(200, 20), 2):
        print(list(images.shape))
except UserError as error:
    print(error)
"""


@needs_mounts
def test_batches_need_no_room_in_dev_shm():
    """A batch is 540 KB, and a container of Docker has 64 MB for those of all its workers."""
    result = with_shared_memory_of(256, LARGE)
    assert result.stdout.splitlines() == ["[20, 96, 96, 3]"] * 10, result.stderr


@needs_mounts
def test_a_full_dev_shm_is_no_matter():
    """The workers have no locks, whose semaphores would be there."""
    result = with_shared_memory_of(64, LARGE, full=True)
    assert result.stdout.splitlines() == ["[20, 96, 96, 3]"] * 10, result.stderr
    assert "Exception ignored" not in result.stderr


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_a_batch_is(num_workers):
    loader = loader_of(SyntheticDataset(synthetic_samples(10, 4), 8), num_workers)
    assert len(loader) == 3
    images, labels, indices = next(iter(loader))
    assert (images.shape, images.dtype) == ([4, 8, 8, 3], paddle.uint8)
    assert (labels.dtype, indices.dtype) == (paddle.int64, paddle.int64)
    assert labels.tolist() == indices.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_iterating_starts_at_the_position(num_workers):
    dataset = SyntheticDataset(synthetic_samples(10, 4), 8)
    sampler = EpochSampler(10, 4)
    loader = build_loader(dataset, sampler, num_workers)
    sampler.set_position(1, batch=1)
    assert len(loader) == 2
    assert [batch[2].tolist() for batch in loader] == [[4, 5, 6, 7], [8, 9]]
    sampler.set_position(2)
    assert len(list(loader)) == 3


def test_without_workers_everything_happens_in_the_calling_thread():
    seen = []
    dataset = Troublesome(lambda: seen.append((os.getpid(), threading.current_thread())))
    threads = threading.active_count()
    iterator = iter(loader_of(dataset, 0))
    for _ in range(3):
        next(iterator)
        assert threading.active_count() <= threads
    assert seen == [(os.getpid(), threading.main_thread())]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_making_batches_leaves_the_global_generators_alone(num_workers):
    np.random.seed(3)
    expected = np.random.random(3)
    np.random.seed(3)
    list(loader_of(SyntheticDataset(synthetic_samples(10, 4), 8), num_workers))
    assert (np.random.random(3) == expected).all()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_users_error_arrives_as_itself(num_workers, capfd):
    def trouble():
        raise UserError("The image кот.jpg is empty.")

    loader = loader_of(Troublesome(trouble), num_workers)
    seen = []
    with pytest.raises(UserError) as caught:
        seen.extend(batch[2].tolist() for batch in loader)
    assert str(caught.value) == "The image кот.jpg is empty."
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert children() == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bug_keeps_its_traceback(num_workers):
    def trouble():
        return {}["no such key"]

    with pytest.raises(RuntimeError if num_workers else KeyError, match="no such key") as caught:
        list(loader_of(Troublesome(trouble), num_workers))
    if num_workers:
        assert 'return {}["no such key"]' in str(caught.value)


@pytest.mark.parametrize(
    ("said", "rows", "message"),
    [
        (None, lambda index: index + 1, "must have the same shape"),
        ((8, 8, 3), lambda index: index + 1, "must have the same shape"),
        ((8, 8, 3), lambda index: 9, r"shape mismatch|wrong shape|must match"),
    ],
)
def test_images_of_another_size_are_a_bug_with_a_traceback(said, rows, message):
    class Odd(Troublesome):
        image_shape = said

        def image(self, epoch, index):
            return np.zeros((rows(index), 8, 3), np.uint8)

    with pytest.raises(RuntimeError, match=message):
        list(loader_of(Odd(None), 2))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (signal.SIGKILL, "ran out of memory. Use fewer workers"),
        (signal.SIGBUS, "signal SIGBUS"),
        (signal.SIGABRT, "signal SIGABRT"),
    ],
)
def test_a_killed_worker_is_one_message_and_no_hang(number, advice, capfd):
    def trouble():
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    with pytest.raises(UserError, match=advice):
        list(loader_of(Troublesome(trouble), 2))
    assert children() == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_killed_while_training_computes_is_noticed_at_the_next_batch():
    iterator = iter(loader_of(SyntheticDataset(synthetic_samples(4000, 4), 8), 2))
    next(iterator)
    victim = children()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in children())  # nothing is raised here, in the middle of a step
    with pytest.raises(UserError, match="killed"):
        list(iterator)
    assert children() == []


def test_a_silent_worker_is_given_up():
    loader = loader_of(Troublesome(lambda: time.sleep(600)), 2, timeout=1.5)
    with pytest.raises(UserError, match=r"No batch came from the data workers for 2 s\. Is the disk"):
        list(loader)
    assert children() == []


def test_a_worker_that_hangs_after_the_last_batch_is_left_behind():
    batches = iter(loader_of(SyntheticDataset(synthetic_samples(32, 4), 8), 2))
    seen = [next(batches)[2].tolist() for _ in range(8)]
    workers = children()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    assert next(batches, None) is None
    assert [index for batch in seen for index in batch] == [*range(32)]
    assert len(workers) == 2
    assert children() == []


def test_workers_end_with_the_iteration():
    loader = loader_of(SyntheticDataset(synthetic_samples(400, 4), 8), 2)
    for epoch in range(3):
        for _ in loader:
            if epoch == 1:
                break
        assert children() == []
    iterator = iter(loader)
    next(iterator)
    workers = children()
    assert len(workers) == 2
    del iterator
    assert children() == []


def test_batches_outlive_their_workers():
    batches = list(loader_of(SyntheticDataset(synthetic_samples(40, 4), 8), 2))
    iterator = iter(loader_of(SyntheticDataset(synthetic_samples(40, 4), 8), 2))
    batches.append(next(iterator))
    del iterator
    assert children() == []
    assert [batch[2].tolist()[0] for batch in batches] == [*range(0, 40, 4), 0]
    assert (batches[0][0].numpy() == batches[-1][0].numpy()).all()


@pytest.mark.parametrize("attempt", range(4))  # without the care that is tested, every second one hangs
def test_what_the_parent_left_over_does_not_stop_the_next_workers(attempt):
    """A worker that frees an iterator of before waits for threads that only the parent has."""

    def bug():
        raise KeyError

    gc.disable()
    try:
        with pytest.raises(RuntimeError) as caught:
            list(loader_of(Troublesome(bug), 2))
        cycle = [caught.value]
        cycle.append(cycle)
        del caught, cycle
        assert len(list(loader_of(Troublesome(gc.collect), 2, timeout=300.0))) == 8
    finally:
        gc.enable()


def test_several_loaders_at_once():
    train, val = (loader_of(SyntheticDataset(synthetic_samples(12, 4), 8, seed), 2) for seed in (1, 2))
    seen = 0
    for images, _, _ in train:
        for other, _, _ in val:
            assert (images.numpy() != other.numpy()).any()
            seen += 1
    assert seen == 9


SETUP = """
import multiprocessing, os, signal, time
os.setsid()
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.synthetic import SyntheticDataset
loader = build_loader(SyntheticDataset(synthetic_samples(4000, 4), 8), EpochSampler(4000, 4), 2)
iterator = iter(loader)
next(iterator)
workers = [process.pid for process in multiprocessing.active_children()]
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group_is_the_parents_to_handle(number, tmp_path):
    script = SETUP + (
        "caught = []\n"
        f"signal.signal(signal.{number}, lambda *_: caught.append(1))\n"
        f"os.killpg(0, signal.{number})\n"
        "print(len(list(iterator)), len(caught))"
    )
    result = run(tmp_path, script)
    assert (result.stdout.split(), result.returncode) == (["999", "1"], 0), result.stderr


def test_an_exception_in_training_ends_the_process_at_once(tmp_path):
    result = run(tmp_path, SETUP + "print(*workers, flush=True)\nraise SystemExit(7)")
    assert result.returncode == 7
    workers = [int(pid) for pid in result.stdout.split()]
    assert len(workers) == 2
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    result = run(tmp_path, SETUP + "print(*workers, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)")
    assert result.returncode == -signal.SIGKILL
    workers = [int(pid) for pid in result.stdout.split()]
    assert len(workers) == 2
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "trainer.num_workers is -1"),
        ({"num_workers": 2, "prefetch": 0}, "prefetch is 0"),
        ({"num_workers": 2, "timeout": 0}, "time-out of the data workers is 0 s"),
    ],
)
def test_settings_outside_their_range(options, message):
    with pytest.raises(UserError, match=message):
        loader_of(SyntheticDataset(synthetic_samples(8, 4), 8), **options)
