"""Mixed precision: autocast, loss scaling and master weights, as ``paddle.amp`` offers them."""

import contextlib
from dataclasses import dataclass

import paddle


@dataclass(frozen=True)
class AmpSettings:
    """What to run in half precision.

    Args:
        level: ``O0`` float32 throughout; ``O1`` chosen operators in half precision; ``O2`` the whole
            network but its norms, with float32 master weights.
        dtype: ``float16`` or ``bfloat16``.
        scale_loss: initial loss scale (float16 only).
        dynamic: adapt the loss scale; otherwise it stays.
    """

    level: str = "O0"
    dtype: str = "float16"
    scale_loss: float = 128.0
    dynamic: bool = True

    @property
    def enabled(self) -> bool:
        return self.level != "O0"

    def autocast(self):
        """Context for a forward pass, in training and in evaluation."""
        if not self.enabled:
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(level=self.level, dtype=self.dtype)

    def scaler(self) -> paddle.amp.GradScaler:
        """Loss scaler; a pass-through unless float16 is on."""
        return paddle.amp.GradScaler(
            enable=self.enabled and self.dtype == "float16",
            init_loss_scaling=self.scale_loss,
            use_dynamic_loss_scaling=self.dynamic,
        )

    def decorate(self, network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer) -> None:
        """Cast the network for ``O2``, with float32 master weights kept by the optimizer; in place."""
        if self.level == "O2":
            paddle.amp.decorate(
                network, optimizer, level="O2", dtype=self.dtype, master_weight=True, save_dtype="float32"
            )
