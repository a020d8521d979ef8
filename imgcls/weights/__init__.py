"""Weights from anywhere into a network."""

BUNDLED = ("squeezenet1_1",)
"""Models whose ImageNet weights ship with the package."""
