"""Names that settings of the data can have; importable without NumPy, Pillow and Paddle, to check a command."""

SPLITS = ("train", "val")

NAMES_OF_SPLIT = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
"""What the directory of a split is called, in any case of letters."""

SPLIT_FOLDERS = frozenset((*NAMES_OF_SPLIT["train"], *NAMES_OF_SPLIT["val"], "test"))
"""Directories of these names alone are splits, not classes."""

FILES = ("folder", "list", "tar", "webdataset", "zip", "huggingface")
"""Formats that read files of the user's below ``data.root``."""

NUMBERED = ("list", "tar", "webdataset", "huggingface")
"""Those whose files may give labels as numbers."""

SHARED = FILES
"""Formats that can give a share of each class for validation, or be divided into folds."""

REMOTE = FILES
"""Those that can lie at an address."""

COLUMNED = {
    "image_column": ("list", "webdataset", "huggingface"),
    "label_column": ("list", "webdataset", "huggingface"),
    "split_column": ("list",),
}
"""Formats whose files may have the column."""

MULTI_LABEL = ("folder", "list", "sample")
"""Formats whose pictures can have several classes each."""

FILE_CHECKS = ("auto", "all", "sample", "none")
"""Which files of a list must exist, see ``read_list``."""

INTERPOLATIONS = {"linear": "BILINEAR", "cubic": "BICUBIC", "nearest": "NEAREST", "area": "BOX", "lanczos": "LANCZOS"}
"""Name of Pillow's filter for each."""

OPENCV_INTERPOLATIONS = {
    "linear": "INTER_LINEAR",
    "cubic": "INTER_CUBIC",
    "nearest": "INTER_NEAREST",
    "area": "INTER_AREA",
    "lanczos": "INTER_LANCZOS4",
}
"""Name of OpenCV's constant for each."""

RESAMPLINGS = ("pillow", "opencv")
"""Whose way of resizing."""

AUTOAUGMENT_POLICIES = ("imagenet",)

FITS = ("crop", "letterbox", "stretch")
"""How an image comes into a rectangle of another shape: its centre, whole with bars, whole and distorted."""

TEST_TIME_AUGMENTATIONS = ("flip", "five", "whole")
"""Views of an image whose answers are averaged: it and its mirror image; its centre and its corners. Or one view, for
networks that take any size: all of it in its own proportions."""
