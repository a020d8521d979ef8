"""AutoAugment: one of 25 learned pairs of operations for each image (arXiv:1805.09501, table 9)."""

import numpy as np
from PIL import Image

from imgcls.data.choices import AUTOAUGMENT_POLICIES
from imgcls.data.pictures.operations import OPERATIONS
from imgcls.errors import UserError, close_matches

STRONGEST_LEVEL = 9

# Pairs of operation, probability, level. That five pairs come twice is part of the policy.
IMAGENET = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shearX", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)

POLICIES = dict(zip(AUTOAUGMENT_POLICIES, (IMAGENET,), strict=True))

ONE_WAY = ("rotate",)
"""Operations that could go either way, and in the original's policies never do."""


class AutoAugment:
    """A pair of the policy, each of its operations applied with its own probability.

    Args:
        policy: a key of ``POLICIES``.

    Raises:
        UserError: there is no such policy.
    """

    def __init__(self, policy: str):
        if policy not in POLICIES:
            raise UserError(
                f"There is no AutoAugment policy '{policy}'.{close_matches(str(policy), POLICIES)} "
                f"It can be {', '.join(POLICIES)}."
            )
        self.policy = POLICIES[policy]

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for name, probability, level in self.policy[rng.integers(len(self.policy))]:
            if rng.random() < probability:
                operation = OPERATIONS[name]
                amount = operation.amount(level / STRONGEST_LEVEL)
                if operation.signed and name not in ONE_WAY:
                    amount *= rng.choice((-1.0, 1.0))
                image = operation.apply(image, amount)
        return image
