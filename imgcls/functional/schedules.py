"""Learning-rate schedules: plain functions from the number of updates made so far to the learning rate.

Everything is computed in float64 and nothing here needs Paddle; ``imgcls.engine.optimizers.OptimizerLR`` hands
a schedule to an optimizer. A recipe names a schedule in ``build_schedule``; the functions below
compose in Python, for instance ``linear_warmup(piecewise(...), steps=500, end_lr=0.1)``.
"""

import inspect
import math
from collections.abc import Callable, Sequence

from imgcls.errors import UserError, close_matches, listed

Schedule = Callable[[float], float]
"""Learning rate of update ``step``, counted from 0; a fraction arises where a schedule starts within an epoch."""

# A quotient that is whole on paper may come out one rounding error below; a drop must not wait a step for it.
ROUNDING = 1e-9


def constant(base_lr: float) -> Schedule:
    """The same rate for ever."""
    return lambda step: base_lr


def piecewise(base_lr: float, steps_per_epoch: int, boundaries: Sequence[float], decay_rate: float) -> Schedule:
    """Multiply the rate by ``decay_rate`` at the start of each epoch in ``boundaries``."""
    drops = [boundary * steps_per_epoch - ROUNDING for boundary in boundaries]
    return lambda step: base_lr * decay_rate ** sum(step >= drop for drop in drops)


def cosine(base_lr: float, steps_per_epoch: int, epochs: float, final_lr: float = 0.0) -> Schedule:
    """Half a cosine (arXiv:1608.03983) that moves once an epoch, as the original's ``cosine_decay`` does.

    The last epoch therefore ends above ``final_lr``; ``cosine_step`` is the smooth form.
    """
    smooth = cosine_step(base_lr, 1, epochs, final_lr)
    return lambda step: smooth(math.floor(step / steps_per_epoch + ROUNDING))


def cosine_step(base_lr: float, steps_per_epoch: int, epochs: float, final_lr: float = 0.0) -> Schedule:
    """Half a cosine from ``base_lr`` to ``final_lr`` over ``epochs``, moving every update."""
    length = epochs * steps_per_epoch
    return lambda step: final_lr + (base_lr - final_lr) * (1 + math.cos(math.pi * min(step / length, 1))) / 2


def joined(first: Schedule, steps: int, then: Schedule) -> Schedule:
    """``first`` for so many updates, and ``then`` from its own beginning."""
    return lambda step: first(step) if step < steps else then(step - steps)


def exponential(base_lr: float, steps_per_epoch: int, decay_epochs: float, decay_rate: float) -> Schedule:
    """Multiply the rate by ``decay_rate`` every ``decay_epochs``, in drops."""
    interval = decay_epochs * steps_per_epoch
    return lambda step: base_lr * decay_rate ** math.floor(step / interval + ROUNDING)


def linear(
    base_lr: float, steps_per_epoch: int, epochs: float, decay_epochs: float | None = None, final_lr: float = 0.0
) -> Schedule:
    """A straight line from ``base_lr`` to ``final_lr``, flat afterwards.

    Args:
        decay_epochs: length of the line; the whole run when left out. The original's
            ``linear_decay`` has 1 here and trains at rate 0 after its first epoch.
    """
    return polynomial(base_lr, steps_per_epoch, epochs if decay_epochs is None else decay_epochs, 1.0, final_lr)


def polynomial(base_lr: float, steps_per_epoch: int, epochs: float, power: float, final_lr: float = 0.0) -> Schedule:
    """``(1 - progress) ** power`` from ``base_lr`` to ``final_lr`` over ``epochs``."""
    length = epochs * steps_per_epoch
    return lambda step: final_lr + (base_lr - final_lr) * (1 - min(step / length, 1)) ** power


def plateau(base_lr: float, decay_rate: float, drops: Sequence[float], final_lr: float = 0.0) -> Schedule:
    """Multiply the rate by ``decay_rate`` at each update in ``drops``, to no less than ``final_lr``.

    Args:
        drops: of the run; a callback adds to it while the run goes on.
    """
    return lambda step: max(base_lr * decay_rate ** sum(step >= drop for drop in drops), min(final_lr, base_lr))


def linear_warmup(
    schedule: Schedule, steps: float, end_lr: float, start_lr: float = 0.0, until: float | None = None
) -> Schedule:
    """A line from ``start_lr`` to ``end_lr`` in ``steps`` updates, laid over the beginning of ``schedule``.

    The schedule's own clock is not moved: what the warm-up covers is lost (see ``delayed``).

    Args:
        until: first update that follows ``schedule``; ``steps`` when left out. A later one
            continues the line above ``end_lr``.
    """
    until = steps if until is None else until

    def lr(step: float) -> float:
        return start_lr + (end_lr - start_lr) * step / steps if step < until else schedule(step)

    return lr


def delayed(schedule: Schedule, steps: float) -> Schedule:
    """``schedule`` with its clock started ``steps`` updates late."""
    return lambda step: schedule(step - steps)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "piecewise": piecewise,
    "cosine": cosine,
    "cosine_step": cosine_step,
    "exponential": exponential,
    "linear": linear,
    "polynomial": polynomial,
    "plateau": plateau,
}


WAITING = ("patience", "cooldown", "min_delta")
"""What is configured of ``plateau`` beside its options: when it drops, which its callback decides."""


def build_schedule(
    name: str | Callable[..., Schedule],
    *,
    base_lr: float,
    steps_per_epoch: int,
    epochs: float,
    warmup_epochs: float = 0.0,
    warmup_start_lr: float = 0.0,
    warmup_whole_epochs: bool = False,
    **options: float | Sequence[float],
) -> Schedule:
    """A schedule by name, with a linear warm-up in front of it if wanted.

    What follows a warm-up starts when the warm-up is over and has ``epochs - warmup_epochs`` to
    go; only the boundaries of ``piecewise`` are epochs of the run and the drops of ``plateau``
    its updates, warm-up or not. The original's
    ``cosine_decay_warmup`` is ``cosine_step`` and its ``exponential_decay_warmup`` ``exponential``,
    each with a warm-up.

    Args:
        name: a key of ``SCHEDULES``, or a function like those.
        base_lr: the rate the schedule starts from and the warm-up ends at.
        steps_per_epoch: updates an epoch (after gradient accumulation).
        epochs: length of the run.
        warmup_epochs: length of the warm-up; 0 for none.
        warmup_start_lr: rate of the first update of a warm-up.
        warmup_whole_epochs: go on warming up, beyond ``base_lr``, to the end of an epoch that
            ``warmup_epochs`` divides. The original does; whole numbers make no difference.
        **options: arguments of the schedule's function.

    Raises:
        UserError: there is no such schedule or option, or a length makes no sense.
    """
    factory = name if callable(name) else SCHEDULES.get(name)
    if factory is None:
        raise UserError(
            f"There is no learning-rate schedule '{name}'.{close_matches(str(name), SCHEDULES)} "
            f"There are: {', '.join(SCHEDULES)}."
        )
    if steps_per_epoch < 1 or not 0 <= warmup_epochs < epochs:
        raise UserError(
            f"A run of {epochs:g} epochs of {steps_per_epoch} updates with {warmup_epochs:g} epochs of warm-up "
            "has nothing to schedule. Give at least one update an epoch, and a warm-up shorter than the run."
        )

    keeps_clock = factory in (piecewise, plateau)
    run = {
        "base_lr": base_lr,
        "steps_per_epoch": steps_per_epoch,
        "epochs": epochs if keeps_clock else epochs - warmup_epochs,
    }
    parameters = inspect.signature(factory).parameters
    _check_options(name, options, known=[key for key in parameters if key not in run])
    schedule = factory(**{key: value for key, value in run.items() if key in parameters}, **options)
    if not warmup_epochs:
        return schedule

    warmup_steps = warmup_epochs * steps_per_epoch
    until = math.ceil(warmup_epochs) * steps_per_epoch if warmup_whole_epochs else warmup_steps
    follow = schedule if keeps_clock else delayed(schedule, warmup_steps)
    return linear_warmup(follow, warmup_steps, end_lr=base_lr, start_lr=warmup_start_lr, until=until)


def _check_options(name: str, options: dict, known: list[str]) -> None:
    for key, value in options.items():
        if key not in known:
            raise UserError(
                f"The schedule '{name}' has no option '{key}'.{close_matches(key, known)} "
                f"It has: {listed(known) or 'none of its own'}."
            )
        if key == "decay_epochs" and value is not None and value <= 0:
            raise UserError(f"decay_epochs of the schedule '{name}' is {value:g}; it must be more than 0.")
