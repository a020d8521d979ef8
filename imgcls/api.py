"""The public Python surface; importing it is cheap, Paddle comes with the first call that needs it."""

from typing import TYPE_CHECKING, Any

from imgcls.models.registry import build_model, list_models, model_info

if TYPE_CHECKING:
    import paddle

__all__ = ["create_model", "list_models", "model_info"]


def create_model(
    name: str,
    num_classes: int = 1000,
    pretrained: str | bool | None = None,
    data_format: str = "NCHW",
    **overrides: Any,
) -> "paddle.nn.Layer":
    """Build a network by name.

    Args:
        name: canonical or published name, case ignored (``"resnet50_vd"``, ``"ResNet50_vd"``).
        num_classes: width of the last layer.
        pretrained: ``True`` for the bundled or published weights, or a path: a ``.pdparams`` file,
            a fluid 1.x directory or tar, a checkpoint or run directory. When the class counts
            differ, the last layer keeps its fresh initialisation.
        data_format: of the feature maps inside the network; ``NHWC`` is the faster one in float16 on
            tensor cores. Images, features, logits and weights are the same in both.
        **overrides: arguments of the family's network class, in place of the variant's.

    Returns:
        A layer whose ``forward`` takes float32 ``[N, 3, H, W]`` and returns raw logits
        ``[N, num_classes]``.

    Raises:
        UserError: unknown model, override or data format; an impossible value; weights missing or not fitting.
    """
    network = build_model(name, num_classes, data_format, **overrides)
    if pretrained:
        from imgcls.weights.load import load_pretrained

        load_pretrained(network, model_info(name), pretrained)
    return network
