"""Bad files: who stands in for them, the same with any number of workers, and how they are counted."""

import os
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
from values_of_conf import train_transform

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.loading.bad_files import BadFile, BadFiles, substitute
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.transforms import eval_transform
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError


@pytest.fixture
def photos(tmp_path):
    """The bundled photos, as a copy to damage."""
    shutil.copytree(SAMPLE_PHOTOS / "train", tmp_path / "photos" / "train")
    return build_samples("folder", tmp_path / "photos")


def damage(samples, *indices):
    for index in indices:
        with open(samples.path(index), "r+b") as file:
            file.truncate(100)


def batches_of(samples, num_workers, account, epoch=0, batch=0, seed=5):
    sampler = EpochSampler(len(samples), 16, shuffle=True, seed=seed)
    sampler.set_position(epoch, batch)
    loader = build_loader(ImageDataset(samples, train_transform(24)), sampler, num_workers, bad_files=account)
    return [[tensor.numpy() for tensor in batch] for batch in loader], sampler


def test_the_next_good_one_of_the_epoch_stands_in(photos, caplog):
    sampler = EpochSampler(len(photos), 16, shuffle=True, seed=5)
    order = sampler.order(3)
    damage(photos, order[20], order[21], order[-1])
    results = {workers: batches_of(photos, workers, BadFiles(5), epoch=3)[0] for workers in (0, 1, 4)}
    expected = order.copy()
    expected[[20, 21]] = order[22]
    expected[-1] = order[0]
    for batches in results.values():
        assert np.concatenate([indices for _, _, indices in batches]).tolist() == expected.tolist()
        assert np.concatenate([labels for _, labels, _ in batches]).tolist() == photos.labels[expected].tolist()
        for batch, wanted in zip(batches, results[0], strict=True):
            assert (batch[0] == wanted[0]).all()
    assert [len(labels) for _, labels, _ in results[4]] == [16] * 5 + [5]
    named = [record.getMessage() for record in caplog.records if record.getMessage().startswith("left out: ")]
    assert len(named) == 3 * 3  # each run names each file once


def test_an_epoch_continued_in_the_middle_has_the_same_stand_ins(photos):
    damage(photos, *range(0, 85, 9))
    whole, _ = batches_of(photos, 0, BadFiles(20), epoch=1)
    rest, _ = batches_of(photos, 2, BadFiles(20), epoch=1, batch=3)
    for batch, wanted in zip(rest, whole[3:], strict=True):
        for tensor, expected in zip(batch, wanted, strict=True):
            assert (tensor == expected).all()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_too_many_end_the_run_and_all_are_listed(photos, num_workers, tmp_path):
    order = EpochSampler(len(photos), 16, shuffle=True, seed=5).order(0)
    damage(photos, *order[[0, 40, 80]])
    account = BadFiles(2, tmp_path / "bad_files.txt")
    with pytest.raises(UserError) as caught:
        batches_of(photos, num_workers, account)
    message = str(caught.value)
    assert "3 image files cannot be read, more than data.max_errors=2" in message
    assert f"listed in {tmp_path}/bad_files.txt" in message
    assert (tmp_path / "bad_files.txt").read_text().splitlines() == [photos.path(i) for i in order[[0, 40, 80]]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_many_in_a_row_are_not_searched_to_the_end(photos, num_workers, tmp_path):
    order = EpochSampler(len(photos), 16, shuffle=True, seed=5).order(0)
    damage(photos, *order[:80])
    account = BadFiles(3, tmp_path / "bad_files.txt")
    with pytest.raises(UserError, match=r"more than data\.max_errors=3"):
        batches_of(photos, num_workers, account)
    listed = (tmp_path / "bad_files.txt").read_text().splitlines()
    assert 3 < len(listed) <= 3 + 16
    with pytest.raises(UserError, match="delete that to count anew"):  # also when nothing new is found
        batches_of(photos, num_workers, BadFiles(3, tmp_path / "bad_files.txt"))
    assert (tmp_path / "bad_files.txt").read_text().splitlines() == listed


@pytest.mark.parametrize("num_workers", [0, 2])
def test_no_file_that_can_be_read(photos, num_workers):
    damage(photos, *range(85))
    with pytest.raises(UserError, match=r"None of the 85 images can be read\. The first: "):
        batches_of(photos, num_workers, BadFiles(1000))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_without_an_account_the_first_bad_file_is_an_error(photos, num_workers):
    damage(photos, 30)
    with pytest.raises(UserError, match=os.path.basename(photos.path(30))):
        batches_of(photos, num_workers, None)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_evaluation_nothing_stands_in(photos, num_workers, caplog):
    damage(photos, 3, 84, *range(40, 50))
    shares = []
    for rank in range(2):
        sampler = EpochSampler(85, 5, rank=rank, ranks=2, pad=False)
        dataset = ImageDataset(photos, eval_transform(24, 28))
        batches = list(build_loader(dataset, sampler, num_workers, bad_files=BadFiles(20)))
        assert all((labels.numpy() == photos.labels[indices.numpy()]).all() for _, labels, indices in batches)
        shares.append([indices.tolist() for *_, indices in batches])
    assert shares[0] == [[*range(i, i + 10, 2)] for i in (0, 10, 20, 30, 50, 60, 70)] + [[80, 82]]
    assert shares[1][0] == [1, 5, 7, 9]
    seen = sorted(index for share in shares for batch in share for index in batch)
    assert seen == sorted(set(range(85)) - {3, 84, *range(40, 50)})
    assert sum(record.getMessage().startswith("left out: ") for record in caplog.records) == 12


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_evaluation_of_nothing_is_refused(photos, num_workers):
    damage(photos, *range(85))
    sampler = EpochSampler(85, 40, pad=False)
    loader = build_loader(ImageDataset(photos, eval_transform(24, 28)), sampler, num_workers, bad_files=BadFiles(100))
    assert list(loader) == []
    trainer = Trainer(paddle.nn.Linear(1, 1), lambda images: images)
    with pytest.raises(UserError, match="None of the images can be read"):
        trainer.evaluate(loader)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_disk_that_is_gone_is_not_taken_for_bad_files(photos, num_workers, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "unmounted")
    with pytest.raises(UserError, match=r"photos/train is not there any more\. Is its disk mounted\? data\.root"):
        batches_of(photos, num_workers, BadFiles(100, tmp_path / "bad_files.txt"))
    assert not (tmp_path / "bad_files.txt").exists()


def test_other_mistakes_are_not_skipped(photos):
    class Wrong(ImageDataset):
        def image(self, epoch, index):
            raise KeyError(index)

    with pytest.raises(KeyError):
        substitute(Wrong(photos, eval_transform(24, 28)), (0, 3), lambda epoch: np.arange(85), 10)


def test_a_restart_does_not_name_or_count_again(tmp_path, caplog):
    file = tmp_path / "bad_files.txt"
    BadFiles(2, file).add([BadFile("a.jpg", "a.jpg is bad"), BadFile("a.jpg", "a.jpg is bad")])
    again = BadFiles(2, file)
    again.add([BadFile("кот.jpg", "кот.jpg is bad"), BadFile("a.jpg", "a.jpg is bad")])
    assert file.read_text().splitlines() == ["a.jpg", "кот.jpg"]
    assert [record.getMessage() for record in caplog.records] == ["left out: a.jpg is bad", "left out: кот.jpg is bad"]
    with pytest.raises(UserError, match="3 image files"):
        again.add([BadFile("c.jpg", "c.jpg is bad")])


ADD = """
import sys
from imgcls.data.loading.bad_files import BadFile, BadFiles
account = BadFiles(1000, sys.argv[1])
"""


def test_several_processes_keep_one_account(tmp_path):
    script = ADD.replace("sys.argv[1]", "__import__('pathlib').Path(sys.argv[1])")
    script += "for i in range(200): account.add([BadFile(f'{i}.jpg', 'bad')])"
    command = [sys.executable, "-c", script, str(tmp_path / "bad_files.txt")]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    listed = (tmp_path / "bad_files.txt").read_text().splitlines()
    assert sorted(listed) == sorted({f"{i}.jpg" for i in range(200)})
