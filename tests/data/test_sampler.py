"""Batches of keys: order, shards over ranks, last batches, positions."""

from itertools import chain

import numpy as np
import paddle
import pytest

from imgcls.data.loading.sampler import EpochSampler, epoch_of
from imgcls.errors import UserError
from imgcls.functional.class_balance import balanced_order


def batches(num_samples, batch_size, epoch=0, batch=0, **options):
    sampler = EpochSampler(num_samples, batch_size, **options)
    sampler.set_position(epoch, batch)
    result = list(sampler)
    assert len(sampler) == len(result)
    assert all(key[0] == epoch for keys in result for key in keys)
    return [[index for _, index in keys] for keys in result]


def flat(lists):
    return list(chain.from_iterable(lists))


def test_it_is_a_batch_sampler_of_paddle():
    assert isinstance(EpochSampler(5, 2), paddle.io.BatchSampler)


def test_in_order_without_shuffle():
    assert batches(7, 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches(7, 3, drop_last=True) == [[0, 1, 2], [3, 4, 5]]
    assert batches(6, 3) == [[0, 1, 2], [3, 4, 5]]


def test_shuffle_is_a_function_of_seed_and_epoch():
    options = {"shuffle": True, "seed": 3}
    first = batches(50, 8, epoch=2, **options)
    assert sorted(flat(first)) == list(range(50))
    assert first == batches(50, 8, epoch=2, **options)
    assert first != batches(50, 8, epoch=3, **options)
    assert first != batches(50, 8, epoch=2, shuffle=True, seed=4)
    assert flat(first) == np.random.default_rng([3, 2]).permutation(50).tolist()


def test_a_balanced_epoch_has_equally_many_of_each_class():
    labels = np.repeat([0, 1, 2, 4], [100, 3, 40, 1])
    seen = {}
    for epoch in range(6):
        sampler = EpochSampler(144, 16, shuffle=True, seed=5, balanced_labels=labels)
        sampler.set_position(epoch)
        keys = flat(sampler)
        assert keys == flat(sampler)
        assert {epoch_of(key) for key in keys} == {epoch}
        assert len(set(keys)) == len(keys) == 144  # a sample that comes again is another crop
        drawn = np.array([index for _, index in keys])
        np.testing.assert_array_equal(np.bincount(labels[drawn], minlength=5), [36, 36, 36, 0, 36])
        assert set(np.bincount(drawn, minlength=144)[100:103]) == {12}
        for index in drawn[drawn < 100]:
            seen.setdefault(int(index), []).append(epoch)
    times = [len(seen.get(index, ())) for index in range(100)]
    assert set(times) == {2, 3}  # 216 draws of a hundred
    ranks = [list(EpochSampler(144, 8, rank=rank, ranks=2, shuffle=True, balanced_labels=labels)) for rank in (0, 1)]
    whole = list(EpochSampler(144, 16, shuffle=True, balanced_labels=labels))
    assert [sorted(one + other) for one, other in zip(*ranks, strict=True)] == [sorted(keys) for keys in whole]


@pytest.mark.parametrize("counts", [[1], [5, 2], [1, 1, 1], [50, 1, 7]])
def test_epochs_of_uneven_division_share_what_is_left_over(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn = [np.bincount(labels[balanced_order(labels, 0, epoch)], minlength=len(counts)) for epoch in range(30)]
    assert all(one.sum() == len(labels) and np.ptp(one) <= 1 for one in drawn)
    assert np.ptp(np.sum(drawn, axis=0)) <= 1


def test_a_sampler_that_is_used_again_gives_the_same_until_it_is_moved():
    sampler = EpochSampler(20, 4, shuffle=True)
    assert list(sampler) == list(sampler)
    before = list(sampler)
    sampler.set_position(1)
    assert list(sampler) != before


def test_moving_does_not_disturb_an_iteration_under_way():
    sampler = EpochSampler(20, 4, shuffle=True)
    expected = list(sampler)
    iterator = iter(sampler)
    got = [next(iterator)]
    sampler.set_position(7, 3)
    assert got + list(iterator) == expected


@pytest.mark.parametrize("start", range(8))
def test_position(start):
    whole = batches(50, 8, epoch=5, shuffle=True)
    assert batches(50, 8, epoch=5, batch=start, shuffle=True) == whole[start:]


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("num_samples", [1, 4, 29, 30, 31, 34, 61])
def test_ranks_together_are_one_process_with_the_global_batch(num_samples, ranks, pad):
    single = batches(num_samples, 6 * ranks, shuffle=True, seed=1, epoch=4)
    shards = [
        batches(num_samples, 6, rank=rank, ranks=ranks, shuffle=True, seed=1, epoch=4, pad=pad) for rank in range(ranks)
    ]
    for step, expected in enumerate(single):
        parts = [shard[step] for shard in shards if step < len(shard)]
        together = flat(parts)
        if len(expected) >= ranks:
            assert len(parts) == ranks
            assert sorted(together) == sorted(expected)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
        elif pad:
            assert [len(part) for part in parts] == [1] * ranks
            assert set(expected) <= set(together) <= set(range(num_samples))
        else:
            assert sorted(together) == sorted(expected)
    lengths = {len(shard) for shard in shards}
    assert max(lengths) == len(single)
    assert len(lengths) == 1 or not pad


def test_padding_repeats_the_first_samples_of_the_epoch():
    order = flat(batches(9, 2, shuffle=True))
    last = [batches(9, 2, rank=rank, ranks=4, shuffle=True)[-1] for rank in range(4)]
    assert last == [[order[8]], [order[0]], [order[1]], [order[2]]]


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_evaluation_sees_every_image_once(ranks):
    for num_samples in (1, 2, 36, 37, 100):
        seen = flat(flat(batches(num_samples, 5, rank=rank, ranks=ranks, pad=False)) for rank in range(ranks))
        assert sorted(seen) == list(range(num_samples))


def test_what_cannot_be():
    with pytest.raises(UserError, match="no samples"):
        EpochSampler(0, 4)
    with pytest.raises(UserError, match="batch size of one process is 0"):
        EpochSampler(10, 0)
    with pytest.raises(UserError, match="The batch size 16 is larger than the 10 samples"):
        EpochSampler(10, 8, ranks=2, drop_last=True)
