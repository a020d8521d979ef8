"""Optimizers by name, with weight decay, frozen parameters, the head's rate and clipping settled in one place.

Paddle's parameter groups are not used: Paddle 2.6.2 clips each group by a norm of its own and
forgets the regularizers that parameters declare. Each parameter carries its settings instead.
"""

from collections.abc import Callable
from typing import Any

import paddle
from paddle import nn
from paddle.optimizer import Adam, AdamW, Lamb, Momentum, Optimizer, RMSProp
from paddle.optimizer.lr import LRScheduler
from paddle.regularizer import L2Decay

from imgcls.errors import UserError, close_matches
from imgcls.functional.schedules import Schedule

# RMSProp is not centred and has epsilon under the root, as in the original, which had rho 0.9, epsilon 0.001 beside the
# exponential schedule and rho 0.95, epsilon 1 beside the cosine one.
OPTIMIZERS: dict[str, tuple[type[Optimizer], tuple[str, ...]]] = {
    "momentum": (Momentum, ("momentum", "use_nesterov")),
    "rmsprop": (RMSProp, ("rho", "momentum", "epsilon")),
    "adam": (Adam, ("beta1", "beta2", "epsilon")),
    "adamw": (AdamW, ("beta1", "beta2", "epsilon")),
    "lamb": (Lamb, ("beta1", "beta2", "epsilon")),
}
"""The class and the options of each; their values are in ``conf/optimizer``."""


class OptimizerLR(LRScheduler):
    """A schedule as Paddle's optimizers take it; ``step()`` once an update, not once an epoch."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        super().__init__(schedule(0))

    def get_lr(self) -> float:
        return self.schedule(self.last_epoch)

    def set_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at the saved update; the rate is this schedule's, should the saved one have been another."""
        super().set_state_dict(state_dict)
        self.last_lr = self.get_lr()


class AssignedDecay(L2Decay):
    """Weight decay that ``build_optimizer`` gave a parameter, as opposed to one the network declared."""


def build_optimizer(
    name: str,
    network: nn.Layer,
    lr: float | LRScheduler,
    *,
    weight_decay: float = 0.0,
    no_decay_on_norm_and_bias: bool = False,
    head_lr_multiplier: float = 1.0,
    layer_decay: float = 1.0,
    grad_clip_norm: float | None = None,
    **options: float | bool,
) -> Optimizer:
    """An optimizer of all parameters of ``network`` that are not frozen (``stop_gradient``).

    Args:
        name: a key of ``OPTIMIZERS``.
        lr: learning rate, or an ``OptimizerLR``.
        weight_decay: L2 coefficient. It joins the gradient, after clipping; ``adamw`` shrinks the
            parameter by ``lr * weight_decay`` instead (arXiv:1711.05101), and ``lamb`` takes it into the
            update whose length it adapts to the parameter's (arXiv:1904.00962). A parameter that
            declares a regularizer of its own keeps that one alone.
        no_decay_on_norm_and_bias: exempt one-dimensional parameters, which these are.
        head_lr_multiplier: factor of the learning rate of ``network.head``.
        layer_decay: factor of the learning rate from each block of the network to the one before it.
        grad_clip_norm: largest norm of all gradients together; ``None`` for no clipping.
        **options: the optimizer's own, all that ``OPTIMIZERS`` lists.

    Raises:
        UserError: there is no such optimizer or option, an option is missing, nothing to train, or no clipping norm.
    """
    if name not in OPTIMIZERS:
        raise UserError(
            f"There is no optimizer '{name}'.{close_matches(str(name), OPTIMIZERS)} There are: {', '.join(OPTIMIZERS)}."
        )
    optimizer_class, known = OPTIMIZERS[name]
    for option in options:
        if option not in known:
            raise UserError(
                f"The optimizer '{name}' has no option '{option}'.{close_matches(option, known)} "
                f"It has: {', '.join(known)}."
            )
    if missing := [option for option in known if option not in options]:
        raise UserError(f"The optimizer '{name}' needs a value for {', '.join(missing)}.")
    if grad_clip_norm is not None and grad_clip_norm <= 0:
        raise UserError(f"A gradient norm clipped to {grad_clip_norm:g} trains nothing; leave it out for no clipping.")

    parameters = trainable_parameters(network)
    decayed = assign_weight_decay(
        parameters, 0.0 if optimizer_class in (AdamW, Lamb) else weight_decay, no_decay_on_norm_and_bias
    )
    names = {parameter.name for parameter in decayed}
    if optimizer_class is AdamW:
        options |= {"weight_decay": float(weight_decay), "apply_decay_param_fun": names.__contains__}
    if optimizer_class is Lamb:  # parameters that are not decayed do not adapt the length of their update either
        exempt = {"exclude_from_weight_decay_fn": lambda parameter: parameter.name not in names}
        options |= {"lamb_weight_decay": float(weight_decay), **exempt}
    if optimizer_class is Momentum:
        options["use_multi_tensor"] = True  # one kernel for all parameters, to the same bits as one after the other
    multiply_head_lr(network, head_lr_multiplier)
    decay_layer_lr(network, layer_decay)
    return optimizer_class(
        learning_rate=lr if isinstance(lr, LRScheduler) else float(lr),
        parameters=parameters,
        grad_clip=nn.ClipGradByGlobalNorm(grad_clip_norm) if grad_clip_norm else None,
        **options,
    )


def build_own_optimizer(
    make: Callable[..., Optimizer],
    network: nn.Layer,
    lr: LRScheduler,
    *,
    head_lr_multiplier: float,
    layer_decay: float,
    grad_clip_norm: float | None,
    **options: Any,
) -> Optimizer:
    """An optimizer of somebody's own, for all parameters that are not frozen.

    Args:
        make: called with ``learning_rate``, ``parameters``, ``grad_clip`` and ``options``, as Paddle's are.

    Raises:
        UserError: it gives no ``paddle.optimizer.Optimizer``, or there is nothing to train.
    """
    multiply_head_lr(network, head_lr_multiplier)
    decay_layer_lr(network, layer_decay)
    optimizer = make(
        learning_rate=lr,
        parameters=trainable_parameters(network),
        grad_clip=nn.ClipGradByGlobalNorm(grad_clip_norm) if grad_clip_norm else None,
        **options,
    )
    if not isinstance(optimizer, Optimizer):
        raise UserError(f"optimizer._target_ gave a {type(optimizer).__name__}, no paddle.optimizer.Optimizer.")
    return optimizer


def trainable_parameters(network: nn.Layer) -> list[paddle.Tensor]:
    """The parameters that are not frozen, in the network's order.

    Raises:
        UserError: there are none.
        ValueError: two share a name, by which Paddle files the optimizer's state.
    """
    parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    if not parameters:
        raise UserError("Every parameter is frozen: there is nothing to train. Freeze less.")
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        shared = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"Parameters share a name and would share their optimizer state: {', '.join(shared)}.")
    return parameters


def assign_weight_decay(
    parameters: list[paddle.Tensor], weight_decay: float, exempt_norm_and_bias: bool
) -> list[paddle.Tensor]:
    """Make ``weight_decay`` the regularizer of every parameter that neither declares one nor is exempt.

    What an earlier call assigned is forgotten.

    Returns:
        The parameters without a regularizer of their own that are to be decayed.
    """
    for parameter in parameters:
        if isinstance(parameter.regularizer, AssignedDecay):
            parameter.regularizer = None
    decayed = [
        parameter
        for parameter in parameters
        if parameter.regularizer is None and not (exempt_norm_and_bias and parameter.ndim <= 1)
    ]
    if weight_decay:
        for parameter in decayed:
            parameter.regularizer = AssignedDecay(float(weight_decay))
    return decayed


def multiply_head_lr(network: nn.Layer, multiplier: float) -> None:
    """Let the parameters of ``network.head`` learn at ``multiplier`` times the learning rate."""
    head = getattr(network, "head", None)
    if head is None:
        if multiplier != 1:
            raise UserError(f"{type(network).__name__} has no 'head' that could have a learning rate of its own.")
        return
    for parameter in head.parameters():
        parameter.optimize_attr["learning_rate"] = float(multiplier)


def decay_layer_lr(network: nn.Layer, decay: float) -> None:
    """Let each block learn at ``decay`` times the rate of the one behind it, the head at the whole (arXiv:2106.08254).

    Rates that the network declared itself, or an earlier call set, are kept as they were before it.

    Raises:
        UserError: it does not say what its blocks are.
    """
    for parameter in network.parameters():
        if (declared := getattr(parameter, "declared_lr", None)) is not None:
            parameter.optimize_attr["learning_rate"] = declared
            parameter.declared_lr = None
    if decay == 1:
        return
    if not hasattr(network, "blocks_in_order"):
        raise UserError(
            f"{type(network).__name__} has no blocks_in_order, which optimizer.layer_decay needs. Derive it from "
            "imgcls.models.layers.Network."
        )
    blocks = network.blocks_in_order()
    for number, block in enumerate(blocks):
        for parameter in block:
            parameter.declared_lr = parameter.optimize_attr["learning_rate"]
            parameter.optimize_attr["learning_rate"] *= decay ** (len(blocks) - number)
