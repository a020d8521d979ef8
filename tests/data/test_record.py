"""What a checkpoint knows of its samples: the same wherever they lie, and what has changed in words."""

import numpy as np
import pytest

from imgcls.data.formats.record import differences, known, write_samples
from imgcls.data.formats.samples import Samples

CATS, DOGS = [b"cat/1.jpg", b"cat/\xe7\x8c\xab \n2.jpg"], [b"dog/1.jpg"]


def samples(cats=CATS, dogs=DOGS, root="/photos", names=("cat", "dog")):
    return Samples.of_classes(root, [list(cats), list(dogs)], names)


def test_the_same_samples_elsewhere_and_from_another_text():
    """A list holds its labels between the paths, and blank lines."""
    text = b"cat/1.jpg 0\n\n" + CATS[1] + b" 0\ndog/1.jpg 1\n"
    starts = np.array([0, 13, 13 + len(CATS[1]) + 3])
    listed = Samples(
        "/elsewhere",
        text,
        starts,
        starts + np.array([9, len(CATS[1]), 9]),
        np.array([0, 0, 1], np.int32),
        ("cat", "dog"),
    )
    assert known(listed) == known(samples())
    assert known(listed).count == 3


@pytest.mark.parametrize(
    "other",
    [
        samples(cats=CATS[::-1]),
        samples(cats=CATS[:1]),
        samples(cats=[b"cat/1.jpgcat", CATS[1][3:]]),
        samples(cats=CATS[:1], dogs=[CATS[1], *DOGS]),
        samples(names=("cat", "hound")),
    ],
)
def test_other_samples(other):
    assert known(other).sha256 != known(samples()).sha256


def test_what_has_changed_in_words(tmp_path):
    write_samples(samples(), tmp_path / "list.gz")
    assert differences(tmp_path / "list.gz", samples(root="/moved")) == []
    assert differences(tmp_path / "list.gz", samples(cats=[*CATS, b"cat/3.jpg"], dogs=[b"dog/2.jpg"])) == [
        "2 new, cat/3.jpg the first",
        "1 gone, dog/1.jpg the first",
    ]
    moved = samples(cats=CATS[:1], dogs=[CATS[1], *DOGS])
    assert differences(tmp_path / "list.gz", moved)[0].startswith("1 of another class, cat/猫")
    (turned,) = differences(tmp_path / "list.gz", samples(cats=CATS[::-1]))
    assert turned.startswith("another order from number 1 on, cat/1.jpg then and cat/猫")


def test_more_than_a_chunk(tmp_path):
    many = samples(cats=[b"cat/%d.jpg" % number for number in range(150_000)])
    write_samples(many, tmp_path / "list.gz")
    assert differences(tmp_path / "list.gz", many.subset(np.arange(1, len(many)))) == ["1 gone, cat/0.jpg the first"]
