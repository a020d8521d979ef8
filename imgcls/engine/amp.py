"""Mixed precision: autocast, loss scaling and master weights, as ``paddle.amp`` offers them."""

import contextlib
import io
import logging
from dataclasses import dataclass, replace
from typing import Any

import paddle

from imgcls.engine.emulated_bfloat16 import emulate_bfloat16
from imgcls.machine.paddle_internals import loss_scale, master_weights, overflowed, set_loss_scale

log = logging.getLogger("imgcls")


@dataclass(frozen=True)
class AmpSettings:
    """What to run in half precision.

    Args:
        level: ``O0`` float32 throughout; ``O1`` chosen operators in half precision; ``O2`` the whole
            network but its norms, with float32 master weights.
        dtype: ``float16`` or ``bfloat16``.
        scale_loss: initial loss scale (float16 only).
        dynamic: adapt the loss scale; otherwise it stays.
        min_scale: the loss scale is not lowered beyond this.
        emulated: bfloat16's rounding without its kernels; ``O2`` is then as ``O1``.
    """

    level: str
    dtype: str
    scale_loss: float
    dynamic: bool
    min_scale: float
    emulated: bool = False

    @property
    def enabled(self) -> bool:
        return self.level != "O0"

    def here(self) -> "AmpSettings":
        """These settings as far as the device can follow them.

        Paddle 2.6.2 ignores autocast on a CPU, and has no CPU kernels for half precision.
        """
        if not self.enabled or paddle.device.get_device() != "cpu":
            return self
        if self.dtype == "bfloat16":
            log.warning("bfloat16 is emulated on the CPU: its rounding, but no speed.")
            return replace(self, emulated=True)
        log.warning(
            "trainer.amp.level=%s with float16 has no effect on the CPU, where Paddle computes in float32.", self.level
        )
        return replace(self, level="O0")

    def autocast(self):
        """Context for a forward pass, in training and in evaluation."""
        if not self.enabled or self.emulated:
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(level=self.level, dtype=self.dtype)

    def scaler(self) -> "LossScaler":
        """Loss scaler; a pass-through unless float16 is on."""
        return LossScaler(
            floor=self.min_scale,
            enable=self.enabled and self.dtype == "float16",
            init_loss_scaling=self.scale_loss,
            use_dynamic_loss_scaling=self.dynamic,
        )

    def cast(self, network: paddle.nn.Layer) -> None:
        """Cast the network for ``O2``, in place. Before it is wrapped in ``DataParallel``, which plans by type."""
        if self.emulated:
            emulate_bfloat16(network)
        elif self.level == "O2":
            paddle.amp.decorate(network, level="O2", dtype=self.dtype)

    def keep_masters(self, network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer) -> None:
        """Let the optimizer keep float32 master weights of what ``cast`` has cast."""
        if self.level == "O2" and not self.emulated:
            paddle.amp.decorate(network, optimizer, level="O2", dtype=self.dtype, master_weight=True)


FLOAT32 = AmpSettings(level="O0", dtype="float16", scale_loss=1.0, dynamic=False, min_scale=1.0)
"""Nothing in half precision; the other settings have no meaning then."""


class LossScaler(paddle.amp.GradScaler):
    """Paddle's loss scaler, with a floor for the scale and a count of the updates it has skipped.

    ``skipped_in_a_row`` is the number of latest updates that did not happen because a gradient was
    not finite.
    """

    def __init__(self, floor: float, **options: Any):
        super().__init__(**options)
        self.floor = floor
        self.skipped_in_a_row = 0

    @property
    def scale_now(self) -> float:
        return loss_scale(self).item() if self.is_enable() else 1.0

    def update(self) -> None:
        if not self.is_enable():
            return
        skipped = overflowed(self)
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
        with contextlib.redirect_stdout(io.StringIO()):  # Paddle prints a line for each
            super().update()
        if skipped:
            set_loss_scale(self, paddle.clip(loss_scale(self), min=self.floor))

    def state_dict(self) -> dict[str, Any]:
        """JSON-serialisable, unlike Paddle's; empty if the scaler is off."""
        state = super().state_dict()
        return {**state, "scale": self.scale_now, "skipped_in_a_row": self.skipped_in_a_row} if state else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "scale": [state_dict["scale"]]})
        self.skipped_in_a_row = state_dict["skipped_in_a_row"]


def float32_state(
    network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer | None = None
) -> dict[str, paddle.Tensor]:
    """The network's ``state_dict`` in float32: the tensors themselves, or their masters where they are in half.

    What has no master (a frozen weight, or any before the first update) is a converted copy.
    """
    masters = master_weights(optimizer)
    return {name: _in_float32(tensor, masters) for name, tensor in network.state_dict().items()}


def _in_float32(tensor: paddle.Tensor, masters: dict[str, paddle.Tensor]) -> paddle.Tensor:
    if tensor.dtype not in (paddle.float16, paddle.bfloat16):
        return tensor
    return masters[tensor.name] if tensor.name in masters else tensor.astype("float32")


@paddle.no_grad()
def load_float32_state(network: paddle.nn.Layer, state: dict[str, Any]) -> None:
    """Give the network the values of ``float32_state``, in whatever precision its tensors are.

    Raises:
        ValueError: names or shapes differ.
    """
    own = network.state_dict()
    if own.keys() != state.keys():
        raise ValueError(f"The state is of another network: {sorted(own.keys() ^ state.keys())[:5]} differ.")
    for name, tensor in own.items():
        value = paddle.to_tensor(state[name])
        if value.shape != tensor.shape:
            raise ValueError(f"{name} has shape {tensor.shape}, the state has {value.shape}.")
        tensor.set_value(value.astype(tensor.dtype))
