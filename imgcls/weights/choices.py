"""Whose weights there are, by names that need neither Paddle nor NumPy."""

OURS = "imgcls"
TORCH_PEERS = ("torchvision", "timm")
PEERS = (*TORCH_PEERS, "paddleclas", "paddle_vision")
NAMES = (OURS, *TORCH_PEERS)
"""Whose names ``convert`` can write."""
