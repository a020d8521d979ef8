"""The mistakes a network was surest of, and what it looked at."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import paddle

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable
from imgcls.report.answers import Answers
from imgcls.report.gradcam import grad_cam
from imgcls.report.overlay import heat_overlay, jpeg

log = logging.getLogger("imgcls")


@dataclass(frozen=True)
class Mistake:
    """A picture taken for something else.

    Args:
        path: of its file, in printable form.
        label: its class.
        predicted: the class it was taken for.
        score: the probability of ``predicted``.
        score_of_label: that of ``label``.
        picture: what the network saw, as JPEG.
        overlay: the same under the Grad-CAM map of ``predicted``, as JPEG; ``None`` of a network that
            gives no maps.
    """

    path: str
    label: int
    predicted: int
    score: float
    score_of_label: float
    picture: bytes
    overlay: bytes | None


def surest_mistakes(answers: Answers, limit: int) -> np.ndarray:
    """Positions in ``answers`` of the wrong ones, the highest score first, at most ``limit``."""
    wrong = np.flatnonzero(~answers.right)
    return wrong[np.argsort(-answers.scores[wrong], kind="stable")][:limit]


def explained_mistakes(
    network: paddle.nn.Layer,
    images: Iterable[paddle.Tensor],
    preprocess: Callable[[paddle.Tensor], paddle.Tensor],
    answers: Answers,
    positions: np.ndarray,
    samples: Samples,
) -> list[Mistake]:
    """Mistakes with what the network saw, and where.

    Args:
        network: that gave the answers.
        images: of the answers at ``positions``, in that order: batches of uint8 ``[N, H, W, 3]``.
        preprocess: from such a batch to the network's input.
        positions: in ``answers``.
        samples: that the answers are about.
    """
    network.eval()
    explains = all(hasattr(network, method) for method in ("forward_features", "forward_head"))
    if not explains:
        log.info("%s has no forward_features and forward_head: no Grad-CAM", type(network).__name__)
    mistakes: list[Mistake] = []
    for batch in images:
        part = positions[len(mistakes) : len(mistakes) + len(batch)]
        maps = [None] * len(batch)
        if explains:
            maps = grad_cam(network, preprocess(batch), paddle.to_tensor(answers.predictions[part]))
        mistakes += [
            Mistake(
                path=printable(samples.path(int(answers.indices[position]))),
                label=int(answers.labels[position]),
                predicted=int(answers.predictions[position]),
                score=float(answers.scores[position]),
                score_of_label=float(answers.scores_of_labels[position]),
                picture=jpeg(image),
                overlay=None if heat is None else jpeg(heat_overlay(image, heat)),
            )
            for position, image, heat in zip(part, batch.numpy(), maps, strict=True)
        ]
    return mistakes
