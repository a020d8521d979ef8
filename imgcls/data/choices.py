"""Names that settings of the data can have; importable without NumPy, Pillow and Paddle, to check a command."""

SPLITS = ("train", "val")

SHARED = ("folder", "list")
"""Formats that can give a share of each class for validation."""

MULTI_LABEL = ("folder", "list", "sample")
"""Formats whose pictures can have several classes each."""

FILE_CHECKS = ("auto", "all", "sample", "none")
"""Which files of a list must exist, see ``read_list``."""

INTERPOLATIONS = {"linear": "BILINEAR", "cubic": "BICUBIC", "nearest": "NEAREST", "area": "BOX", "lanczos": "LANCZOS"}
"""Name of Pillow's filter for each."""

AUTOAUGMENT_POLICIES = ("imagenet",)
