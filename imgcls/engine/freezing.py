"""Parameters that are not to be trained, by pattern."""

import logging

import paddle

from imgcls.engine.sync_batch_norm import BATCH_NORMS, SyncBatchNorm
from imgcls.errors import UserError
from imgcls.models.layer_norm import LayerNorm
from imgcls.models.patterns import matching

log = logging.getLogger("imgcls")


def freeze(network: paddle.nn.Layer, patterns: list[str], batch_norms: bool = False) -> list[paddle.nn.Layer]:
    """Stop the gradients of the parameters that a pattern names.

    Args:
        patterns: as for ``model.exclude``: substrings or globs of ``state_dict`` keys or fluid names.
        batch_norms: those of all batch norms as well, if there are any.

    Returns:
        The layers all of whose own parameters are frozen. Keep them in evaluation mode, so that
        batch norms among them use and keep the statistics they have.

    Raises:
        UserError: a pattern names nothing, or nothing is left to train.
    """
    parameters = dict(network.named_parameters())
    names = {key: parameter.name for key, parameter in parameters.items()}
    for key in matching(names, patterns, option="model.freeze"):
        parameters[key].stop_gradient = True
    for layer in network.sublayers() if batch_norms else ():
        if isinstance(layer, (*BATCH_NORMS, SyncBatchNorm)):
            for parameter in layer.parameters(include_sublayers=False):
                parameter.stop_gradient = True
    if parameters and all(parameter.stop_gradient for parameter in parameters.values()):
        raise UserError("model.freeze names every parameter; there is nothing left to train.")
    _warn_of_norms(network)
    return [layer for layer in network.sublayers() if _is_frozen(layer)] if patterns or batch_norms else []


def freeze_body(network: paddle.nn.Layer) -> tuple[list[paddle.Tensor], list[paddle.nn.Layer]]:
    """Stop the gradients of all but ``network.head``.

    Returns:
        The parameters that were trained until now, to be let go later; the layers that are frozen now.
    """
    head = {id(parameter) for parameter in network.head.parameters()}
    body = [one for one in network.parameters() if id(one) not in head and not one.stop_gradient]
    for parameter in body:
        parameter.stop_gradient = True
    return body, [layer for layer in network.sublayers() if _is_frozen(layer)]


def _warn_of_norms(network: paddle.nn.Layer) -> None:
    """Of those in networks of others, see ``LayerNorm``."""
    for name, layer in network.named_sublayers():
        if isinstance(layer, paddle.nn.LayerNorm) and not isinstance(layer, LayerNorm) and _is_frozen(layer):
            log.warning(
                "%s is frozen, a paddle.nn.LayerNorm: on a CPU Paddle computes wrong gradients for layers before one. "
                "If any of them is trained, take imgcls.models.layer_norm.LayerNorm in its place.",
                name,
            )
            return


def _is_frozen(layer: paddle.nn.Layer) -> bool:
    own = layer.parameters(include_sublayers=False)
    return bool(own) and all(parameter.stop_gradient for parameter in own)
