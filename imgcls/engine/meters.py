"""What an evaluation adds up: sums over the data set that ranks can exchange."""

from collections.abc import Sequence

import numpy as np
import paddle

from imgcls.functional.losses import binary_cross_entropy, cross_entropy
from imgcls.functional.metrics import ClassCounts, class_counts, topk_correct
from imgcls.functional.monitoring import AP_OF, F1_OF
from imgcls.functional.tag_metrics import TagCounts, average_precision, best_thresholds, mean_average_precision


class EvaluationMeter:
    """Loss and top-k accuracy over a data set; sums stay on the device until somebody asks."""

    def __init__(self, topk: Sequence[int]):
        self.topk = tuple(topk)
        self.loss = 0.0
        self.correct = np.zeros(len(self.topk), np.int64)
        self.samples = 0

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        self.loss = self.loss + cross_entropy(logits, labels).astype("float64") * labels.shape[0]
        self.correct = topk_correct(logits, labels, self.topk) + self.correct
        self.samples += labels.shape[0]

    def sums(self) -> np.ndarray:
        """Everything that adds up over the parts of a data set, float64."""
        return np.array([self.samples, float(self.loss), *np.asarray(self.correct)], np.float64)

    def replace_sums(self, sums: np.ndarray) -> None:
        """Take the sums over all parts in place of the own."""
        self.samples, self.loss, self.correct = int(sums[0]), float(sums[1]), sums[2:]

    def result(self) -> dict[str, float]:
        """``{"loss": ..., "top1": ..., "top5": ...}``, accuracies in 0 to 1."""
        correct = np.asarray(self.correct, dtype=np.float64) / self.samples
        accuracies = {f"top{k}": float(share) for k, share in zip(self.topk, correct, strict=True)}
        return {"loss": float(self.loss) / self.samples, **accuracies}


class PerClassMeter(EvaluationMeter):
    """An ``EvaluationMeter`` with figures that ask of each class how it is told from the others.

    Args:
        metrics: names of those wanted, see ``ClassCounts.figure``.
        class_names: in order of the label.
    """

    def __init__(self, topk: Sequence[int], metrics: Sequence[str], class_names: Sequence[str]):
        super().__init__(topk)
        self.metrics = tuple(metrics)
        self.class_names = tuple(class_names)
        self.counts = np.zeros((3, len(self.class_names)), np.int64)

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        super().update(logits, labels, indices)
        self.counts = class_counts(logits, labels) + self.counts

    def sums(self) -> np.ndarray:
        return np.concatenate([super().sums(), np.asarray(self.counts, np.float64).ravel()])

    def replace_sums(self, sums: np.ndarray) -> None:
        own = 3 * len(self.class_names)
        super().replace_sums(sums[:-own])
        self.counts = sums[-own:].reshape(3, -1)

    def result(self) -> dict[str, float]:
        counts = ClassCounts(*np.asarray(self.counts, np.float64))
        return {**super().result(), **{name: counts.figure(name, self.class_names) for name in self.metrics}}


class TagMeter(EvaluationMeter):
    """Binary cross entropy and mean average precision of images with several classes each; keeps every answer.

    Ranks exchange their answers as sums, each with zeros where the others have theirs.

    Args:
        num_samples: of the data set, over all ranks.
        class_names: in order of the class number.
        metrics: more figures: ``macro_f1``, ``micro_f1``, ``ap_<class>``, ``f1_<class>``.
        thresholds: from which a class is taken, for these; tuned on this very data when left out.
    """

    def __init__(
        self,
        num_samples: int,
        class_names: Sequence[str],
        metrics: Sequence[str] = (),
        thresholds: Sequence[float] | None = None,
    ):
        super().__init__(())
        self.class_names = tuple(class_names)
        self.metrics = tuple(metrics)
        self.given = thresholds
        # scores, tags, and whether the sample has been seen
        self.answers = np.zeros((num_samples, 2 * len(self.class_names) + 1), np.float32)

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        count = labels.shape[0]
        self.loss = self.loss + binary_cross_entropy(logits, labels).astype("float64") * count
        scores = paddle.nn.functional.sigmoid(logits)
        self.answers[indices.numpy()] = paddle.concat([scores, labels, paddle.ones([count, 1])], axis=1).numpy()
        self.samples += count

    def sums(self) -> np.ndarray:
        return np.concatenate([super().sums(), self.answers.ravel().astype(np.float64)])

    def replace_sums(self, sums: np.ndarray) -> None:
        super().replace_sums(sums[:2])
        self.answers = sums[2:].reshape(self.answers.shape).astype(np.float32)

    @property
    def indices(self) -> np.ndarray:
        """Numbers of the samples that were seen, ascending."""
        return np.flatnonzero(self.answers[:, -1])

    @property
    def scores(self) -> np.ndarray:
        """Probability of each class, ``[len(indices), num_classes]``."""
        return self.answers[self.indices, : len(self.class_names)]

    @property
    def targets(self) -> np.ndarray:
        """Which classes each has, bool of the shape of ``scores``."""
        return self.answers[self.indices, len(self.class_names) : -1] > 0.5

    def thresholds(self) -> np.ndarray:
        """Those given, or tuned on these answers, ``[num_classes]``."""
        return best_thresholds(self.scores, self.targets) if self.given is None else np.asarray(self.given, np.float64)

    def result(self) -> dict[str, float]:
        scores, targets = self.scores, self.targets
        found = {"loss": float(self.loss) / self.samples, "mAP": mean_average_precision(scores, targets)}
        if self.metrics:
            counts, by_class = TagCounts.of(scores, targets, self.thresholds()), average_precision(scores, targets)
            for name in self.metrics:
                if name.startswith((AP_OF, F1_OF)):
                    of, _, class_name = name.partition("_")
                    values = by_class if of == "ap" else counts.f1()
                    found[name] = float(values[self.class_names.index(class_name)])
                else:
                    found[name] = counts.micro_f1() if name == "micro_f1" else counts.macro_f1()
        return found
