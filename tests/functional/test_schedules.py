"""Schedules against the learning rates of the original, step by step."""

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from locations import REFERENCE
from values_of_conf import schedule_options

from imgcls.errors import UserError
from imgcls.functional.schedules import SCHEDULES, build_schedule, constant, linear_warmup, piecewise

EXPECTED = json.loads((REFERENCE / "schedules.json").read_text())

ORIGINAL = {
    "adam_decay": ("constant", {}),
    "default_decay": ("constant", {}),
    "piecewise_decay": ("piecewise", {"boundaries": "step_epochs"}),
    "cosine_decay": ("cosine", {}),
    "cosine_decay_RMSProp": ("cosine", {}),
    "cosine_decay_warmup": ("cosine_step", {"warmup_epochs": "warm_up_epochs"}),
    "exponential_decay_warmup": (
        "exponential",
        {"warmup_epochs": "warm_up_epochs", "decay_epochs": "decay_epochs", "decay_rate": "decay_rate"},
    ),
    "linear_decay": ("linear", {}),
}


def of_the_original(strategy: str, setting: str):
    """The schedule that this library builds for one strategy and setting of the reference."""
    name, mapping = ORIGINAL[strategy]
    settings = EXPECTED["settings"][setting]
    options = {ours: settings[theirs] for ours, theirs in mapping.items()}
    if strategy == "linear_decay":
        options["decay_epochs"] = 1
    if strategy == "piecewise_decay":
        options["decay_rate"] = 0.1
    return build_schedule(
        name,
        base_lr=settings["lr"],
        steps_per_epoch=EXPECTED["steps_per_epoch"][setting],
        epochs=settings["num_epochs"],
        warmup_whole_epochs=True,
        **options,
    )


def rates(schedule, steps: int) -> list[float]:
    return [schedule(step) for step in range(steps)]


@pytest.mark.parametrize("setting", EXPECTED["settings"])
@pytest.mark.parametrize("strategy", EXPECTED["strategies"])
def test_every_step_equals_the_original(strategy, setting):
    expected = EXPECTED["strategies"][strategy]["lr"][setting]
    actual = rates(of_the_original(strategy, setting), len(expected))
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


def test_warmup_over_a_schedule_equals_the_original_helper():
    helper = EXPECTED["helpers"]["lr_warmup"]
    schedule = linear_warmup(piecewise(0.1, 10, (2, 4, 6), 0.1), steps=15, start_lr=0.02, end_lr=0.1)
    by_name = build_schedule(
        "piecewise",
        base_lr=0.1,
        steps_per_epoch=10,
        epochs=8,
        boundaries=(2, 4, 6),
        decay_rate=0.1,
        warmup_epochs=1.5,
        warmup_start_lr=0.02,
    )
    np.testing.assert_allclose(rates(schedule, len(helper["lr"])), helper["lr"], rtol=1e-6, atol=1e-7)
    assert rates(by_name, 80) == rates(schedule, 80)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warmup_fits_in_front_of_every_schedule(name):
    run = {"base_lr": 0.4, "steps_per_epoch": 7, "epochs": 40, **schedule_options(name)}
    plain = build_schedule(name, **run)
    warmed = build_schedule(name, **run, warmup_epochs=2.5, warmup_start_lr=0.05)
    assert warmed(0) == 0.05
    assert warmed(7) == pytest.approx(0.05 + 0.35 * 7 / 17.5)
    assert all(low < high for low, high in zip(rates(warmed, 17), rates(warmed, 18)[1:], strict=True))
    assert warmed(18) == pytest.approx(plain(0.5), rel=1e-2)
    assert max(rates(warmed, 280)) <= 0.4


def test_a_fractional_warmup_overshoots_only_when_the_original_is_wanted():
    run = {"base_lr": 0.1, "steps_per_epoch": 10, "epochs": 8, "warmup_epochs": 0.5}
    assert max(rates(build_schedule("cosine_step", **run), 80)) == pytest.approx(0.1)
    assert max(rates(build_schedule("cosine_step", **run, warmup_whole_epochs=True), 80)) == pytest.approx(0.18)


def test_what_follows_a_warmup_ends_with_the_run():
    warmed = build_schedule("cosine_step", base_lr=1.0, steps_per_epoch=10, epochs=8, warmup_epochs=3, final_lr=0.01)
    assert warmed(30) == pytest.approx(1.0)
    assert warmed(55) == pytest.approx(0.505)
    assert warmed(80) == pytest.approx(0.01)
    assert warmed(200) == pytest.approx(0.01)


def test_cosine_moves_once_an_epoch_and_cosine_step_every_update():
    staircase = build_schedule("cosine", base_lr=1.0, steps_per_epoch=5, epochs=4)
    smooth = build_schedule("cosine_step", base_lr=1.0, steps_per_epoch=5, epochs=4)
    assert len(set(rates(staircase, 20))) == 4
    assert len(set(rates(smooth, 20))) == 20
    assert staircase(10) == smooth(10) == pytest.approx(0.5)


def test_linear_and_polynomial_reach_the_end_of_the_run():
    linear = build_schedule("linear", base_lr=0.2, steps_per_epoch=10, epochs=5)
    squared = build_schedule("polynomial", base_lr=0.2, steps_per_epoch=10, epochs=5, power=2)
    assert linear(25) == pytest.approx(0.1)
    assert squared(25) == pytest.approx(0.05)
    assert linear(50) == squared(50) == linear(51) == 0


@pytest.mark.parametrize("steps_per_epoch", [5005, 10010, 313, 40037])
@pytest.mark.parametrize("decay_epochs", [2.4, 0.1, 0.7, 1 / 3])
def test_drops_come_at_the_first_update_that_may_have_them(steps_per_epoch, decay_epochs):
    schedule = build_schedule(
        "exponential",
        base_lr=1.0,
        steps_per_epoch=steps_per_epoch,
        epochs=90,
        decay_epochs=decay_epochs,
        decay_rate=0.5,
    )
    exact = Fraction(decay_epochs).limit_denominator(100) * steps_per_epoch
    for drop in range(1, 40):
        first = -(-drop * exact.numerator // exact.denominator)
        assert (schedule(first - 1), schedule(first)) == (0.5 ** (drop - 1), 0.5**drop)


def test_unknown_names_and_options_are_answered_with_close_ones():
    run = {"base_lr": 0.1, "steps_per_epoch": 10, "epochs": 8}
    with pytest.raises(UserError, match=r"no learning-rate schedule 'cosin'.*'cosine'"):
        build_schedule("cosin", **run)
    with pytest.raises(UserError, match=r"no option 'boundary'.*'boundaries'.*It has: boundaries, decay_rate"):
        build_schedule("piecewise", **run, boundary=[2])
    with pytest.raises(UserError, match=r"'constant' has no option 'power'.*none of its own"):
        build_schedule("constant", **run, power=2)


@pytest.mark.parametrize("bad", [{"warmup_epochs": 8}, {"warmup_epochs": -1}, {"steps_per_epoch": 0}, {"epochs": 0}])
def test_lengths_that_make_no_sense_are_refused(bad):
    with pytest.raises(UserError, match="warm-up"):
        build_schedule("cosine", **{"base_lr": 0.1, "steps_per_epoch": 10, "epochs": 8, **bad})


def test_a_decay_interval_of_nothing_is_refused():
    with pytest.raises(UserError, match=r"decay_epochs.*more than 0"):
        build_schedule("exponential", base_lr=0.1, steps_per_epoch=10, epochs=8, decay_epochs=0)


def test_the_formulas_need_no_paddle():
    code = "import sys, imgcls.functional.schedules; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert constant(0.3)(10**9) == 0.3
