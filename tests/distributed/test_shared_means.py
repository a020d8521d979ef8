"""Three real processes average gradients and statistics through memory that all see."""

import json
from pathlib import Path

import numpy as np
import pytest
from sharing import DTYPES, STATISTICS, UPDATES, WITHOUT_STATISTICS, gradient, statistic
from tiny_run import starter
from together import finish_ranks

RANKS = 3


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """By each rank."""
    directory = tmp_path_factory.mktemp("sharing")
    with starter(Path(__file__).parent) as start:
        finish_ranks(start, directory / "logs", "sharing", directory, processes=RANKS)
    return [json.loads((directory / f"{rank}.json").read_text()) for rank in range(RANKS)]


@pytest.mark.parametrize("name", DTYPES)
def test_each_rank_has_the_mean(said, name):
    """Of all: one without a gradient counts as zeros, and where nobody had one yet there is none."""
    had = False
    for update in range(UPDATES):
        given = [gradient(name, rank, update) for rank in range(RANKS)]
        had = had or any(given)
        mean = np.zeros((3, 5), DTYPES[name])
        for values in filter(None, given):  # in the order of the ranks
            mean += np.array(values, DTYPES[name]) / mean.dtype.type(RANKS)
        for one in said:
            assert one["found"][update][name] == (mean.tolist() if had else None)


@pytest.mark.parametrize("number", range(len(STATISTICS)))
def test_each_rank_has_the_means_of_statistics(said, number):
    """But of an update that leaves them out."""
    for update in range(UPDATES):
        own = [statistic(number, rank, update) for rank in range(RANKS)]
        mean = own[0] / RANKS + own[1] / RANKS + own[2] / RANKS
        for rank, one in enumerate(said):
            expected = own[rank] if update == WITHOUT_STATISTICS else mean
            assert one["means"][update][number] == expected.tolist()


def test_where_one_cannot_none_does(said):
    """One that may open no more files; memory that no machine has; numbers that are added up elsewhere."""
    assert all(one[reason] for one in said for reason in ("without", "too_much", "half"))


def test_the_store_does_not_wait_for_acknowledgements(said):
    """A barrier takes 180 ms where it does: Paddle writes each message in pieces."""
    first, *others = (one["at_once"] for one in said)
    assert first == [True] * (RANKS + 1)  # its own connection, and what its server has accepted of each
    assert others == [[True]] * (RANKS - 1)
