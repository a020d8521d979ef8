"""Two real processes with half the batch each against one process with all of it."""

from pathlib import Path

import numpy as np
import pytest
from scenarios import REFUSED, SCENARIOS
from tiny_run import finish, starter
from together import finish_ranks

EQUAL = [name for name in SCENARIOS if name not in ("local_bn", "double")]
APART = [name for name in ("sync_bn", "local_bn", "everything", "double", "onednn_everything") if name in SCENARIOS]
"""What is computed on two machines, too, as far as the processes know: gradients go over their connection."""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each scenario gave, for one process and for two; with ``apart``, for two on as many machines."""
    directory = tmp_path_factory.mktemp("scenarios")
    with pytest.MonkeyPatch.context() as environment, starter(Path(__file__).parent) as start:
        environment.setenv("IMGCLS_CACHE", str(directory / "cache"))
        every = (*SCENARIOS, REFUSED)
        for kind, ranks, names in (("1", {}, every), ("2", {"processes": 2}, every), ("apart", {"machines": 2}, APART)):
            output = directory / kind
            output.mkdir()
            if ranks:
                finish_ranks(start, output / "logs", "scenarios", output, *names, **ranks)
            else:
                finish(start(output, *names, program="scenarios"))

    def loaded(name: str, apart: bool = False) -> list[dict[str, np.ndarray]]:
        return [dict(np.load(directory / kind / f"{name}.npz")) for kind in ("1", "apart" if apart else "2")]

    return loaded


@pytest.mark.parametrize("name", EQUAL)
def test_two_processes_equal_one(results, name):
    """Every loss, the evaluation, weights, statistics and averages, to float rounding."""
    one, two = results(name)
    assert one.keys() == two.keys()
    assert two.pop("shared")
    for key, value in ((key, value) for key, value in one.items() if key != "shared"):
        tolerance = {"rtol": 1e-4, "atol": 2e-6} if key.startswith(("weights", "ema")) else {"rtol": 1e-5}
        np.testing.assert_allclose(two[key], value, **tolerance, err_msg=key)


@pytest.mark.parametrize("name", APART)
def test_two_machines_give_the_bits_of_one(results, name):
    """By ``DataParallel``, as on GPUs: a half of each of two gradients is half of their sum."""
    _, two = results(name)
    _, apart = results(name, apart=True)
    assert apart.keys() == two.keys()
    assert two.pop("shared")
    assert not apart.pop("shared")
    for key, value in two.items():
        np.testing.assert_array_equal(apart[key], value, err_msg=key)


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
