"""A teacher's answers to each training batch, as the student sees it: augmented, mixed and smoothed."""

from collections.abc import Callable
from dataclasses import replace

import paddle

from imgcls.engine.batch import Lesson
from imgcls.engine.callback import Callback
from imgcls.errors import UserError
from imgcls.functional.distillation import attention


class Distillation(Callback):
    """Comes after all that changes a batch.

    The teacher is in evaluation mode, under the run's autocast and without a gradient; each rank has its own, and
    each image goes through it once.

    Args:
        teacher: from the student's input to logits of the same classes.
        adapt: from the student's input to the teacher's.
        temperature: that softens both answers.
        alpha: weight of the teacher's answer, 0 to 1; the labels have the rest.
        features: weight of where the last feature map looks; 0 for none.
    """

    def __init__(
        self,
        teacher: paddle.nn.Layer,
        adapt: Callable[[paddle.Tensor], paddle.Tensor],
        temperature: float,
        alpha: float,
        features: float,
    ):
        super().__init__()
        teacher.eval()
        self.teacher = teacher
        self.adapt = adapt
        self.temperature = temperature
        self.alpha = alpha
        self.features = features
        self._maps: list[paddle.Tensor] = []

    def on_train_begin(self, logs=None):
        if self.features:
            network = self.trainer.network
            forward = type(network).forward_features

            def remembering(images: paddle.Tensor) -> paddle.Tensor:
                maps = forward(network, images)
                self._maps = [maps]
                return maps

            object.__setattr__(network, "forward_features", remembering)

    def on_train_end(self, logs=None):
        if self.features:
            object.__delattr__(self.trainer.network, "forward_features")

    def on_batch(self, batch):
        # The parts that an update is computed in are what memory is for; the teacher keeps nothing for a gradient.
        size = -(-len(batch) // self.trainer.accumulate)
        parts = [self._answer(batch.images[start : start + size]) for start in range(0, len(batch), size)]
        logits, maps = (None if of[0] is None else paddle.concat(of) for of in zip(*parts, strict=True))
        lesson = Lesson(logits, self.temperature, self.alpha, maps, self.features, self._own_maps)
        return replace(batch, lesson=lesson)

    @paddle.no_grad()
    def _answer(self, images: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        with self.trainer.amp.autocast():
            images = self.adapt(images)
            if not self.features:
                return self.teacher(images).astype("float32"), None
            maps = self.teacher.forward_features(images)
            return self.teacher.forward_head(maps).astype("float32"), attention(maps)

    def _own_maps(self) -> paddle.Tensor:
        """Of the student's last forward pass; let go of, so that no graph is kept."""
        if not self._maps:
            raise UserError(
                f"distill.features: {type(self.trainer.network).__name__} does not go through its forward_features. "
                "Leave it out for this network."
            )
        return attention(self._maps.pop())
