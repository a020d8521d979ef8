"""``imgcls.eval eval.knn=5``: pictures told apart by their nearest training pictures, without any training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import paddle
from omegaconf import DictConfig

from imgcls.app.engine_evaluation import AsNetwork, described
from imgcls.app.source import Source, build_network, load_source
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.loader import Loader
from imgcls.data.pictures.transforms import Transform
from imgcls.deploy.contract import is_export
from imgcls.deploy.feature_maps import feature_engine
from imgcls.deploy.predictor import Predictor, open_export
from imgcls.deploy.views import LEAST, views
from imgcls.errors import UserError
from imgcls.functional.neighbours import fastest_engine, nearest, unit, votes
from imgcls.machine.progress import WithBar
from imgcls.models.checks import require_methods

IMAGENET_CLASSES = 1000
Features = Callable[[np.ndarray], np.ndarray]
"""From images, uint8 ``[N, H, W, 3]``, to float32 ``[N, C]``."""


class ByNeighbours(Predictor):
    """The shares of the classes among the nearest of known images.

    Args:
        compute: gives features.
        base: those of the known images, of length 1, ``[M, C]``.
        labels: theirs, int64 ``[M]``.
        count: of neighbours.
    """

    def __init__(self, compute: Features, base: np.ndarray, labels: np.ndarray, num_classes: int, count: int):
        self.compute = compute
        self.base, self.labels, self.num_classes, self.count = base, labels, num_classes, count
        self.engine = fastest_engine()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        found = nearest(unit(self.compute(images)), self.base, self.count, self.engine)
        return votes(found, self.labels, self.num_classes)

    def logits(self, images: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(self.probabilities(images), LEAST))


def open_features(config: DictConfig) -> tuple[Source, Predictor | None]:
    """The source of an evaluation, and what gives features where that is an export.

    Raises:
        UserError: it gives none.
    """
    settings = config.eval
    if settings.source is not None and is_export(settings.source):
        predictor = open_export(settings.source, settings.engine)
        if predictor.contract.output != "features":
            raise UserError(
                f"{settings.source} gives {predictor.contract.output}, and eval.knn compares features: export with "
                "export.output=features, or name the run."
            )
        return described(config, predictor.contract), predictor
    if settings.engine is not None:
        raise UserError(f"eval.engine={settings.engine} is for exports. Name the directory of one as eval.source.")
    source = load_source(config, settings.source, settings.weights)
    if source.multi_label:
        raise UserError(f"eval.knn={settings.knn} is for one class a picture, and the run's may have several.")
    return source, None


@contextmanager
def nearest_neighbours(
    settings: DictConfig,
    source: Source,
    predictor: Predictor | None,
    train: Samples,
    load: Callable[[Samples, Transform], Loader],
) -> Iterator[AsNetwork]:
    """A layer that answers by the training images, whose features are computed now, by the fastest engine.

    Raises:
        UserError: there are fewer of them than ``eval.knn``, or a feature is no number.
    """
    if settings.knn > len(train):
        raise UserError(f"eval.knn={settings.knn}: there are only {len(train)} training pictures.")
    seen = source.preprocessing()
    engine = nullcontext(predictor.features) if predictor else feature_engine(_body(source), seen, pooled=True)
    with engine as run:

        def compute(images: np.ndarray) -> np.ndarray:
            parts = views(images, settings.tta) if settings.tta else [images]
            found = np.mean([run(part).reshape(len(part), -1) for part in parts], axis=0)
            if not np.isfinite(found).all():
                raise UserError("The network gives features that are no numbers: are its weights damaged?")
            return found

        loader = load(train, seen.transform(five=settings.tta == "five"))
        base, labels = [], []
        for images, of_images, _ in WithBar(loader, desc="features of train", unit=" batches", total=len(loader)):
            base.append(compute(images.numpy()))
            labels.append(of_images.numpy())
        known = unit(np.concatenate(base)), np.concatenate(labels)
        yield AsNetwork(ByNeighbours(compute, *known, train.num_classes, min(settings.knn, len(known[1]))))


def _body(source: Source) -> paddle.nn.Layer:
    """The network under its weights, whose last layer is not asked."""
    model = source.config.model
    network = build_network(model, len(source.class_names) or model.num_classes or IMAGENET_CLASSES, require_all=True)
    require_methods(network, "eval.knn", "forward_features")
    return network
