"""How long a figure is waited for to become better: the account of early stopping and of the plateau schedule."""

from dataclasses import dataclass

from imgcls.functional.monitoring import is_better


@dataclass
class Patience:
    """Counts looks at a figure since it was last better than ever.

    Args:
        limit: so many looks without a better figure are waited for.
        direction: ``min`` or ``max``.
        min_delta: by how much a figure must be better to count.
        best: the best so far.
        waited: looks since then.
    """

    limit: int
    direction: str
    min_delta: float = 0.0
    best: float | None = None
    waited: int = 0

    def look(self, value: float) -> bool:
        """Note a figure; whether it has been waited for long enough."""
        margin = self.min_delta if self.direction == "max" else -self.min_delta
        if is_better(value - margin, self.best, self.direction):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.exhausted

    @property
    def exhausted(self) -> bool:
        return self.waited >= self.limit

    def state(self) -> dict[str, float | None]:
        return {"best": self.best, "waited": self.waited, "direction": self.direction}

    def load(self, state: dict[str, float | None]) -> bool:
        """Go on from a state; not, if it was of a figure with another direction. Whether it has."""
        if state["direction"] != self.direction:
            return False
        self.best, self.waited = state["best"], state["waited"]
        return True
