"""Two real processes with half the batch each against one process with all of it."""

from pathlib import Path

import numpy as np
import pytest
from scenarios import REFUSED, SCENARIOS
from tiny_run import finish, starter

EQUAL = [name for name in SCENARIOS if name not in ("local_bn", "double")]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each scenario gave, for one process and for two."""
    directory = tmp_path_factory.mktemp("scenarios")
    with pytest.MonkeyPatch.context() as environment, starter(Path(__file__).parent) as start:
        environment.setenv("IMGCLS_CACHE", str(directory / "cache"))
        for processes in (1, 2):
            output = directory / str(processes)
            output.mkdir()
            wanted = (output, *SCENARIOS, REFUSED)
            if processes == 1:
                finish(start(*wanted, program="scenarios"))
            else:
                ranks = (f"job.processes={processes}", output / "logs", "scenarios")
                finish(start(*ranks, *wanted, program="launched"))
    return lambda name: [dict(np.load(directory / str(processes) / f"{name}.npz")) for processes in (1, 2)]


@pytest.mark.parametrize("name", EQUAL)
def test_two_processes_equal_one(results, name):
    """Every loss, the evaluation, weights, statistics and averages, to float rounding."""
    one, two = results(name)
    assert one.keys() == two.keys()
    for key, value in one.items():
        tolerance = {"rtol": 1e-4, "atol": 2e-6} if key.startswith(("weights", "ema")) else {"rtol": 1e-5}
        np.testing.assert_allclose(two[key], value, **tolerance, err_msg=key)


def test_what_makes_much_of_rounding_is_equal_in_double_precision(results):
    """MobileNetV1, whose losses in float32 differ by some per cent from the second update on, and so do those of one
    process whose first weights differ by 1e-7: what differs is rounding, and no image is lost or weighs more."""
    one, two = results("double")
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-6)


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_ranks_hold_the_same_bits(results, name):
    """Weights, averages, and the statistics of batch norms that are not synchronised."""
    assert results(name)[1]["equal_ranks"]


@pytest.mark.parametrize("name", ["sync_bn", "uneven", "one_left"])
def test_evaluation_counts_every_image_once(results, name):
    one, two = results(name)
    assert two["eval/top1"] == one["eval/top1"]
    assert two["eval/loss"] == pytest.approx(float(one["eval/loss"]), rel=1e-6)


def test_batch_norms_of_their_own_see_half_the_batch(results):
    """What synchronising is for: without it the losses differ from the first update on."""
    one, two = results("local_bn")
    assert abs(one["losses"][0] - two["losses"][0]) > 1e-3


@pytest.mark.parametrize("name", ["plain", "accumulate", "accumulate_uneven"])
def test_gradients_are_exchanged_once_an_update(results, name):
    two = results(name)[1]
    assert two["exchanges"] == len(two["losses"])


def test_what_one_is_refused_all_are(results):
    """Otherwise the others would wait for it."""
    one, two = results(REFUSED)
    for ranks, each in enumerate((one, two), 1):
        assert {first for first, _ in each["said"]} == {"The gradients of rank 1 differ."}
        assert {going_on.split(",")[0] for _, going_on in each["said"]} == {"trainer.compile=auto: by hand"}
        assert len(each["said"]) == ranks
        assert each["undone"].tolist() == [[rank] for rank in range(ranks)]


@pytest.mark.skipif("onednn" not in SCENARIOS, reason="graphs of PaddlePaddle 3 train without oneDNN")
def test_the_fastest_way_is_measured_together_and_remembered_once(results, tmp_path_factory):
    results("auto")
    files = (tmp_path_factory.getbasetemp() / "scenarios0" / "cache" / "training").iterdir()
    assert sorted(file.suffix for file in files) == [".json", ".json", ".lock", ".lock"]  # of one process, and of two
