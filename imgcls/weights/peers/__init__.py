"""Weights of torchvision, timm, PaddleClas and paddle.vision: what is equal, by which rule, and both ways."""
