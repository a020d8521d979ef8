"""An export directory at work: from the network's input to each class's probability."""

import hashlib
from importlib.util import find_spec

import numpy as np
from answers import are_several, check_tags, probabilities
from channels import ORDERS, OTHER_ORDER, check_channels, white
from engines import FILES, graph_kind, load_engine, paddle_version
from fitting import CROPS, FILTERS
from operators import check_model, check_reader
from pictures import network_input
from plain_yaml import read

LARGEST = 4096
CHOICES = {"input": ["float", "uint8"], "output": ["logits", "probabilities"], "interpolation": list(FILTERS)}
CHOICES |= {"format": [1, 2], "channel_order": [*ORDERS.values(), OTHER_ORDER], "crop": list(CROPS)}
CHOICES |= {"resampling": [None, "pillow", "opencv"], "jpeg_reductions": [[8, 4, 2], []]}


def read_contract(directory):
    """The content of inference.yaml, once it and the model files are as they were exported."""
    contract = read(directory / "inference.yaml")
    for key, choices in CHOICES.items():
        if not isinstance(contract, dict) or contract.get(key) not in choices:
            raise ValueError(f"in inference.yaml {key} is missing, or none of {list(choices)!s:.60}")
    check_tags(contract)
    check_channels(contract)
    layout, size = {"float": "NCHW", "uint8": "NHWC"}[contract["input"]], contract.get("image_size")
    edges = size if isinstance(size, list) and len(size) == 2 else [size]
    if not all(type(edge) is int and 1 <= edge <= LARGEST for edge in edges):
        raise ValueError(f"in inference.yaml image_size is missing, or no number or two from 1 to {LARGEST}")
    if contract.get("resampling") == "opencv" and not find_spec("cv2"):
        raise ValueError("its pictures are resized by OpenCV: pip install opencv-python-headless")
    if contract["layout"] != layout or contract["resize_size"] < min(edges):
        raise ValueError("in inference.yaml layout contradicts input, or resize_size contradicts image_size")
    names = FILES[graph_kind(directory)]
    sums = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in names}
    if contract["sha256"] != sums:
        raise ValueError(f"{' or '.join(names)} is damaged, or of another export: see their sha256")
    check_model(directory)
    check_reader(directory, paddle_version())
    return contract


def load_network(directory, contract, threads, max_batch, engine=None):
    """A function from ``[N, ...]`` to probabilities ``[N, classes]``, tried with all sizes of batches; its engine."""
    names = contract["class_names"]
    image = network_input(white(contract), contract, max_pixels=1 << 26)
    engine, compute = load_engine(directory, engine, threads, image, max_batch)

    def run(images, softmax=contract["output"] == "logits"):
        scores = compute(images)
        if softmax:
            scores = probabilities(scores, contract)
        return scores

    scores = run(image[np.newaxis], softmax=False)
    several = are_several(contract)  # whose logits may look like probabilities
    are_probabilities = scores.min() >= 0 and (scores.max() <= 1 if several else abs(scores.sum() - 1) < 0.001)
    are_probabilities &= not several or contract["output"] == "probabilities"
    if np.isfinite(scores).all() and are_probabilities != (contract["output"] == "probabilities"):
        raise ValueError(f"the output of the graph is not {contract['output']}")
    if len(names) != scores.shape[1] or {type(name) for name in names} != {str}:
        raise ValueError(f"class_names are not the names of {scores.shape[1]} classes")
    for count in range(max_batch, 0, -1):  # now, so that no request waits for oneDNN; others fit the largest's memory
        run(np.stack([image] * count))
    return run, engine
