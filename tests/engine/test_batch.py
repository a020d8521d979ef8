"""Parts of a batch: between ranks and within an update, every image counts once and equally."""

from fractions import Fraction

import numpy as np
import paddle
import pytest

from imgcls.engine.batch import Batch


def batch_of_rank(size: int, rank: int, ranks: int) -> Batch:
    """What the sampler hands to a rank: every ``ranks``-th image, or one that does not count."""
    numbers = np.arange(size)[rank::ranks]
    numbers = numbers if len(numbers) else np.array([0])
    tensor = paddle.to_tensor(numbers)
    return Batch(tensor, tensor, tensor, size, rank, ranks)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 12])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_every_image_counts_once(size, ranks, parts):
    """The mean over the ranks of weighted part means gives each image the weight 1 / size."""
    shares = [Fraction(0)] * size
    counts = set()
    members = {}
    for rank in range(ranks):
        split = list(batch_of_rank(size, rank, ranks).split(parts))
        counts.add(len(split))
        for number, (part, weight) in enumerate(split):
            assert len(part) > 0
            for image in part.images.tolist() if weight else []:
                shares[image] += Fraction(weight).limit_denominator(1000) / len(part) / ranks
                members.setdefault(number, []).append(image)
    assert shares == [Fraction(1, size)] * size
    assert counts == {min(parts, size)}  # the ranks go through the same parts, or their collectives would not meet
    assert [image for number in sorted(members) for image in sorted(members[number])] == list(range(size))


def test_parts_keep_partners():
    numbers = paddle.arange(5)
    batch = Batch(numbers, numbers, numbers, 5, partner_labels=numbers + 10, lam=0.3, smoothing=0.1)
    for part, _ in batch.split(2):
        assert (part.partner_labels - part.labels).tolist() == [10] * len(part)
        assert (part.lam, part.smoothing) == (0.3, 0.1)


def test_a_whole_batch_is_not_copied():
    numbers = paddle.arange(5)
    batch = Batch(numbers, numbers, numbers, 5)
    ((part, weight),) = batch.split(1)
    assert part is batch
    assert weight == 1
