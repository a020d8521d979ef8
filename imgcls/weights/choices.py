"""Whose weights there are, by names that need neither Paddle nor NumPy."""

OURS = "imgcls"
TORCH_PEERS = ("torchvision", "timm")
PEERS = (*TORCH_PEERS, "paddleclas", "paddle_vision")
NAMES = (OURS, *TORCH_PEERS)
"""Whose names ``convert`` can write."""

KINDS = ("auto", "network", "ema")
"""Of a run: the trained ones or their average; ``auto`` for those that ``trainer.monitor`` judged it by."""
