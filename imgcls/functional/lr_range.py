"""The learning-rate range test (arXiv:1506.01186, section 3.3): the rates tried, and what their losses say."""

import numpy as np

from imgcls.functional.schedules import Schedule


def exponential_range(start_lr: float, end_lr: float, steps: int) -> Schedule:
    """From one rate to another in ``steps`` updates, each the same factor above the one before."""
    return lambda step: start_lr * (end_lr / start_lr) ** (step / max(steps - 1, 1))


def smoothed(losses: np.ndarray) -> np.ndarray:
    """Each loss averaged with its neighbours, a tenth of all to both sides, near ones the more; float64 ``[N]``."""
    losses = np.asarray(losses, np.float64)
    half = max(1, len(losses) // 10)
    kernel = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(losses, kernel, "same") / np.convolve(np.ones_like(losses), kernel, "same")


def suggestion(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The rate at which the smoothed loss falls most steeply over the rate's logarithm.

    Args:
        rates: ascending, ``[N]``.
        losses: of the update made at each rate, ``[N]``.

    Returns:
        ``None`` where the loss does not fall by a twentieth before it rises, or there are too few.
    """
    rates, losses = np.asarray(rates, np.float64), np.asarray(losses, np.float64)
    known = np.isfinite(losses)
    rates, losses = rates[known], losses[known]
    if len(losses) < 5:
        return None
    curve = smoothed(losses)
    lowest = int(curve.argmin())
    if lowest < 1 or curve[: lowest + 1].max() - curve[lowest] < 0.05 * abs(curve[: lowest + 1].max()):
        return None
    slope = np.gradient(curve, np.log(rates))
    return float(rates[int(slope[: lowest + 1].argmin())])
