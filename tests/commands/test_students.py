"""A student of a run: what it learns, goes on to the same bits, and what is refused."""

import numpy as np
import pytest
from PIL import Image
from tiny_run import TINY, assert_same_end, finish, last, rows, starter

from imgcls.weights.safe_pickle import load_pickle

STUDENT = (
    *TINY,
    "run.name=student",
    "distill.teacher=outputs/tiny",
    "callbacks.mixup=on",
    "transform.std=[0.5,0.5,0.5]",
)
SOFT = ("distill.alpha=1", "distill.features=3.0", "optimizer.lr=0.1")


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A teacher, and a student of its soft labels and its attention."""
    directory = tmp_path_factory.mktemp("teacher")
    with starter(directory) as start:
        finish(start(*TINY, "trainer.epochs=1"))
        finish(start(*STUDENT, *SOFT))
    return directory


def test_a_student_goes_on_to_the_same_bits(origin, tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "tiny").symlink_to(origin / "outputs" / "tiny")
    with starter(tmp_path) as start:
        finish(
            start(*STUDENT, *SOFT, "trainer.max_steps=8", "trainer.save_every_steps=4", "trainer.keep_checkpoints=9")
        )
        finish(start("run.name=student", "trainer.resume=auto", "trainer.max_steps=null"))
    assert_same_end(origin / "outputs" / "student", tmp_path / "outputs" / "student")


def test_the_teacher_stays_as_it_is_and_the_student_learns_of_it(origin):
    teacher = load_pickle(last(origin / "outputs" / "tiny") / "network.pdparams")
    student = load_pickle(last(origin / "outputs" / "student") / "network.pdparams")
    assert teacher.keys() == student.keys()
    assert not any(np.array_equal(teacher[name], student[name]) for name in teacher if name.endswith("weight"))
    losses = [float(row["train_loss"]) for row in rows(origin / "outputs" / "student")]
    assert losses[1] < losses[0]


@pytest.mark.full
def test_two_processes_and_parts_of_a_batch_learn_alike(origin, tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "tiny").symlink_to(origin / "outputs" / "tiny")
    with starter(tmp_path) as start:
        finish(start(*STUDENT, *SOFT, "trainer.processes=2", "trainer.accumulate=2"), timeout=240)
    for one, two in zip(*(rows(home / "outputs" / "student") for home in (origin, tmp_path)), strict=True):
        assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), rel=0.2)


def test_photos_without_labels_and_what_is_refused(origin, ask):
    (origin / "新照片").mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(origin / "新照片" / f"photo ({number}).jpg")
    photos = ("distill.photos='新照片'", "run.name=more")
    without_name = [word for word in STUDENT if not word.startswith("run.name")]
    bundled = [word for word in STUDENT if not word.startswith(("data", "distill", "run", "trainer.epochs"))]
    bundled += ["data=sample", "trainer.max_steps=1", "trainer.epochs=1", "trainer.batch_size=4"]
    with starter(origin) as start:
        answer = ask("train", *without_name, *photos, cwd=origin)
        assert "photos without labels (distill.photos) need distill.alpha=1" in answer.stderr
        answer = ask("train", *without_name, *SOFT, *photos, cwd=origin)
        assert "distill.photos adds files to files: not with data=synthetic" in answer.stderr
        output = finish(start(*STUDENT, "run.name=other", "data.num_classes=6"), status=2)
        assert "distill.teacher=outputs/tiny knows 5 classes (0, 1, 2, ...), the data has 6" in output
        answer = ask("train", *STUDENT, "distill.teacher=nowhere", "run.name=other", cwd=origin)
        assert "distill.teacher=nowhere: there is no such run, checkpoint or model." in answer.stderr
        finish(start(*bundled, "run.name=bundled"))
        output = finish(start(*bundled, *SOFT, *photos, "distill.teacher=outputs/bundled"))
    assert "5 photos without labels" in output
    assert "90 training and 36 validation pictures in 5 classes" in output
