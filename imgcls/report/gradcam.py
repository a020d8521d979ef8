"""Where in an image a network saw a class: Grad-CAM (arXiv:1610.02391, section 3)."""

import numpy as np
import paddle

from imgcls.models.layers import Network


def grad_cam(network: Network, images: paddle.Tensor, classes: paddle.Tensor) -> np.ndarray:
    """How much each place of the last feature map speaks for a class.

    The maps are weighted by the mean gradient of the class's logit with respect to each, summed, and
    what speaks against the class is cut off. Only what comes after the map is differentiated, so that the memory of an
    evaluation is enough; the network's own gradients stay as they are.

    Args:
        network: in evaluation mode.
        images: normalised, ``[N, C, H, W]``.
        classes: int64 ``[N]``.

    Returns:
        float32 ``[N, h, w]`` of the last feature map's size; 1 at each image's strongest place, all 0
        where nothing speaks for the class.
    """
    with paddle.no_grad():
        if hasattr(network, "split_at_map"):
            features, rest = network.split_at_map(images)
        else:
            features, rest = network.forward_features(images), network.forward_head
    features.stop_gradient = False
    logits = rest(features)
    chosen = paddle.take_along_axis(logits, classes.unsqueeze(1), axis=1).sum()
    (gradient,) = paddle.grad(chosen, features)
    with paddle.no_grad():
        weights = gradient.mean(axis=(2, 3), keepdim=True)
        maps = paddle.nn.functional.relu((weights * features).sum(axis=1)).astype("float32").numpy()
    maps = np.nan_to_num(maps, nan=0.0, posinf=0.0)
    strongest = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, strongest, out=np.zeros_like(maps), where=strongest > 0)
