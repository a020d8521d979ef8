"""The last feature map of a network, by the fastest engine of the device."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.static import InputSpec

from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.agreement import bundled_photos
from imgcls.deploy.engines import inference
from imgcls.deploy.graph import INPUT, evaluation_mode, save_layer
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.models.checks import require_methods

TOLERANCE = 1e-4
"""Largest difference of an engine from the network itself, relative to the range of the features."""

Features = Callable[[np.ndarray], np.ndarray]
"""From images, ``[N, H, W, channels]``, to what ``forward_head`` takes, float32 ``[N, C, h, w]``."""


class Body(nn.Layer):
    """What stands before a network's head, normalisation included.

    Args:
        pooled: give the mean over each map, ``[N, C, 1, 1]``.
    """

    def __init__(self, network: nn.Layer, preprocessing: Preprocessing, pooled: bool):
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.pooled = pooled

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        maps = self.network.forward_features(self.preprocessing.normalize(images))
        return F.adaptive_avg_pool2d(maps, 1) if self.pooled else maps


def require_parts(network: nn.Layer) -> None:
    """Refuse a network of which no head can be trained by itself.

    Raises:
        UserError: it lacks a method.
    """
    require_methods(network, "training of the head alone (probe)", "forward_features", "forward_head", "head")


@contextlib.contextmanager
def feature_engine(network: nn.Layer, preprocessing: Preprocessing, pooled: bool | None = None) -> Iterator[Features]:
    """``paddle.inference`` on a CPU, the network itself elsewhere and where its graph differs from it.

    The engine and the parts are tried on two of the bundled photos first.

    Args:
        pooled: give the mean over each map, ``[N, C, 1, 1]``; left out, where no more than that counts to the head.

    Raises:
        UserError: the network's answers are not those of its head on its features.
    """
    photos = bundled_photos(preprocessing, every=60)
    with evaluation_mode(network), paddle.no_grad():
        pooled = _only_mean_counts(network, preprocessing, photos) if pooled is None else pooled
        body = Body(network, preprocessing, pooled)
        body.eval()

        def eager(images: np.ndarray) -> np.ndarray:
            return body(paddle.to_tensor(images)).numpy()

        if paddle.device.get_device() != "cpu":
            yield eager
            return
        with tempfile.TemporaryDirectory() as directory:
            try:
                save_layer(body, network, directory, InputSpec([None, *photos.shape[1:]], str(photos.dtype), INPUT))
                engine = inference(directory, threads=max(1, cpu.usable_cores() // cpu.ranks_on_this_machine()))
                exact, found = eager(photos), engine(photos)
                fits = bool(np.abs(found - exact).max() <= TOLERANCE * np.ptp(exact))
            except Exception:  # of a network of somebody's own that has no graph
                fits = False
            yield engine if fits else eager


def _only_mean_counts(network: nn.Layer, preprocessing: Preprocessing, photos: np.ndarray) -> bool:
    """Whether the head looks at no more than the mean over each map, which is all that has to be kept then."""
    images = preprocessing.normalize(paddle.to_tensor(photos))
    maps = network.forward_features(images)
    from_maps, answers = network.forward_head(maps).numpy(), network(images).numpy()
    if not np.allclose(from_maps, answers, rtol=1e-3, atol=1e-4 * float(np.ptp(answers)) + 1e-12):
        raise UserError(
            f"{type(network).__name__} does more than forward_features and forward_head: its head cannot be trained by "
            "itself. Switch probe off: probe.enabled=false."
        )
    from_means = network.forward_head(F.adaptive_avg_pool2d(maps, 1)).numpy() if maps.ndim == 4 else answers + np.nan
    spread = float(np.ptp(from_maps))
    return spread > 0 and bool(np.abs(from_means - from_maps).max() <= 1e-5 * spread)
