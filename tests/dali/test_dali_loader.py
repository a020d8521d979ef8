"""Batches from DALI: those of the Pillow loader, in its order, for any rank, epoch and position."""

import gc
import os
import tarfile
import threading
import time
from itertools import chain

import numpy as np
import paddle
import pytest
from dali_loaders import Loaders, arrays, assert_same_bits, difference, indices, require_dali
from locations import ROOT
from values_of_conf import train_transform

from imgcls.data.formats.build import build_samples
from imgcls.data.pictures.crops import Resize
from imgcls.data.pictures.transforms import Transform, eval_transform
from imgcls.errors import UserError

require_dali()

PHOTOS = ROOT / "imgcls" / "assets" / "sample_photos"


@pytest.fixture(scope="module")
def photos():
    """The bundled photos for training, 85 of them."""
    return build_samples("sample", split="train")


@pytest.fixture(scope="module")
def loaders(photos):
    return Loaders(photos, train_transform(64))


TRANSFORMS = {
    "training": (train_transform(128), 1),
    "without a flip": (train_transform(128, flip=0), 1),
    "gentle": (train_transform(128, scale=(0.5, 1), ratio=(1, 1)), 1),
    "evaluation": (eval_transform(224, 256), 1),
    "evaluation, small": (eval_transform(128, 146), 1),
    "whole": (eval_transform(128, 128, crop=False), 1),
    # Pillow rounds and clips between its two passes, which shows where these filters overshoot
    "cubic": (train_transform(128, interpolation="cubic"), 25),
    "lanczos": (train_transform(128, interpolation="lanczos"), 50),
}
"""Transform, and the largest difference of a pixel; too large a result for Pillow to shrink while it decodes."""


def inside(pixels):
    """Without the rim, where a filter reaches past the edge: there DALI repeats the edge, Pillow leaves it out."""
    return pixels[:, 1:-1, 1:-1]


@pytest.mark.parametrize("case", TRANSFORMS)
def test_pixels_are_pillows_within_rounding(case, photos):
    transform, largest = TRANSFORMS[case]
    loaders = Loaders(photos, transform)
    pillow, dali = arrays(loaders.pillow(shuffle=True)), arrays(loaders.dali(shuffle=True))
    assert [batch[0].dtype for batch in dali] == [np.uint8] * 11
    assert [batch[0].shape for batch in dali] == [batch[0].shape for batch in pillow]
    found = difference(pillow, dali)
    assert found.mean() < 0.3
    assert inside(found).max() <= largest


def test_photos_that_pillow_shrinks_while_decoding_stay_close(photos):
    loaders = Loaders(photos, eval_transform(64, 73))
    found = difference(arrays(loaders.pillow()), arrays(loaders.dali()))
    assert inside(found).max() > 1
    assert found.mean() < 2


def test_nearest_picks_the_same_pixels_but_for_ties(photos):
    loaders = Loaders(photos, train_transform(128, interpolation="nearest"))
    found = difference(arrays(loaders.pillow()), arrays(loaders.dali()))
    assert (found > 3).mean() < 0.01


def test_an_epoch_has_every_sample_once_and_a_short_last_batch(loaders):
    for options in ({"shuffle": True}, {"shuffle": False}, {"shuffle": True, "drop_last": True}):
        found = indices(loaders.dali(**options))
        assert found == indices(loaders.pillow(**options))
        rest = [] if "drop_last" in options else [5]
        assert [len(batch) for batch in found] == [8] * 10 + rest
    assert sorted(chain(*indices(loaders.dali(shuffle=True)))) == list(range(85))


@pytest.mark.parametrize("batch_size", [1, 85, 100])
def test_unusual_batch_sizes(batch_size, loaders):
    options = {"shuffle": True, "batch_size": batch_size}
    assert indices(loaders.dali(**options)) == indices(loaders.pillow(**options))


def test_epochs_differ_and_repeat_by_seed(photos, loaders):
    loader = loaders.dali(shuffle=True)
    epochs = []
    for epoch in (0, 1, 0):
        loader.batch_sampler.set_position(epoch)
        assert len(loader) == 11
        epochs.append(arrays(loader))
    assert_same_bits(epochs[0], epochs[2])
    assert indices(loaders.dali(shuffle=True)) != [batch[2].tolist() for batch in epochs[1]]

    def crops(batches):
        return {
            int(index): image for images, _, numbers in batches for image, index in zip(images, numbers, strict=True)
        }

    first, second = crops(epochs[0]), crops(epochs[1])
    assert sum(np.array_equal(first[index], second[index]) for index in first) == 0
    other_seed = Loaders(photos, train_transform(64), seed=4)
    assert indices(other_seed.dali(shuffle=True)) != indices(loaders.dali(shuffle=True))


def test_bits_do_not_depend_on_threads_or_runs(loaders):
    one = arrays(loaders.dali(shuffle=True, num_threads=0))
    assert_same_bits(one, arrays(loaders.dali(shuffle=True, num_threads=3)))


def test_any_position_can_be_continued_from(loaders):
    loader = loaders.dali(shuffle=True)
    loader.batch_sampler.set_position(2)
    whole = arrays(loader)
    loader.batch_sampler.set_position(2, 7)
    assert len(loader) == 4
    assert_same_bits(arrays(loader), whole[7:])


def held() -> tuple[int, int]:
    """How many threads (Python's and others') and open files this process has."""
    gc.collect()
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def test_an_iteration_given_up_leaves_nothing_behind(loaders):
    """No thread that reads or decodes, no open file; what DALI keeps for its process is there after a whole one."""
    loader = loaders.dali(shuffle=True)
    expected = arrays(loader)
    threads, files = held()
    for _ in range(3):
        for _ in loader:
            assert held()[0] > threads
            break
    deadline = time.monotonic() + 60
    while (left := held()) > (threads, files):  # readers end by themselves, soon after they are told
        assert time.monotonic() < deadline, f"{left} instead of {(threads, files)} threads and files"
        time.sleep(0.01)
    assert left[1] <= files
    assert_same_bits(arrays(loader), expected)


def test_batches_outlive_the_next_ones(loaders):
    kept = list(loaders.dali())
    assert all(isinstance(tensor, paddle.Tensor) for batch in kept for tensor in batch)
    assert_same_bits([[t.numpy() for t in batch] for batch in kept], arrays(loaders.dali()))


@pytest.mark.parametrize("pad", [True, False])
def test_two_ranks_share_each_batch(pad, loaders):
    """85 samples in batches of 2 x 6 leave one, which training gives to both ranks and evaluation to one."""
    ranks = [arrays(loaders.dali(batch_size=6, rank=r, ranks=2, shuffle=pad, pad=pad)) for r in (0, 1)]
    whole = arrays(loaders.dali(batch_size=12, shuffle=pad))
    assert [len(batches) for batches in ranks] == [8, 8 if pad else 7]
    for number, (images, _, numbers) in enumerate(whole[:-1]):
        for rank in (0, 1):
            assert np.array_equal(images[rank::2], ranks[rank][number][0])
            assert np.array_equal(numbers[rank::2], ranks[rank][number][2])
    everything = [index for batches in ranks for batch in batches for index in batch[2]]
    assert (len(everything), set(everything)) == (86 if pad else 85, set(range(85)))


def as_list(root, photos):
    """The photos under names in several scripts, in a list."""
    lines = []
    for number, name in enumerate(("кот.jpg", "猫 1.jpg", "a.JPEG", os.fsdecode(b"\xff\xfe.jpg"))):
        (root / name).symlink_to(photos.path(20 * number))
        lines.append(os.fsencode(name) + f" {number}\n".encode())
    (root / "train_list.txt").write_bytes(b"".join(lines))


def as_folder(root, photos):
    for number in range(4):
        directory = root / "train" / f"class {number}"
        directory.mkdir(parents=True)
        (directory / "1.jpg").symlink_to(photos.path(20 * number))


def as_tar(root, photos):
    (root / "train").mkdir()
    for shard in (0, 1):
        with tarfile.open(root / "train" / f"{shard}.tar", "w") as tar:
            for number in (2 * shard, 2 * shard + 1):
                tar.add(photos.path(20 * number), f"class {number}/1.jpg")


@pytest.mark.parametrize("make", [as_list, as_folder, as_tar])
def test_formats(make, photos, tmp_path):
    make(tmp_path, photos)
    loaders = Loaders(build_samples(make.__name__.removeprefix("as_"), root=str(tmp_path)), eval_transform(128, 146))
    pillow, dali = arrays(loaders.pillow(batch_size=3)), arrays(loaders.dali(batch_size=3))
    assert [batch[1].tolist() for batch in dali] == [[0, 1, 2], [3]]
    assert difference(pillow, dali).max() <= 1


def test_a_transform_it_has_no_counterpart_for_is_refused(photos):
    for transform, name in (
        (train_transform(64, rotation=10), "RandomRotation"),
        (train_transform(64, color_jitter=(0.4, 0, 0, 0), flip=0), "ColorJitter"),
        (train_transform(64, randaugment=(2, 5.0)), "RandAugment"),
        (train_transform(64, interpolation="area"), "area"),
        (Transform([Resize(64), Resize(32)]), "Resize"),
    ):
        with pytest.raises(UserError, match=f"data.backend=dali .*{name}"):
            Loaders(photos, transform).dali()


def test_a_disk_that_does_not_answer_is_given_up(photos):
    answers, waited_out = threading.Event(), []

    class Hanging(type(photos)):
        def source(self, index):
            if index == 20:
                waited_out.append(not answers.wait(60))
            return super().source(index)

    fields = {name: getattr(photos, name) for name in photos.__dataclass_fields__}
    loader = Loaders(Hanging(**fields), train_transform(64)).dali(timeout=1.0)
    seen = []
    with pytest.raises(UserError, match=r"could not be read within 1 s.*data\.worker_timeout"):
        seen.extend(batch[2].tolist() for batch in loader)
    assert seen == [list(range(8)), list(range(8, 16))]
    assert waited_out == []
    answers.set()
