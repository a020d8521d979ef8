"""From the scores of a graph to what is said of a picture: its best classes, and its tags where it can have several."""

import numpy as np


def are_several(contract):
    """Whether a picture has any number of classes; the format tells, for others must not read such an export."""
    return contract["format"] == 2


def probabilities(scores, contract):
    """Of scores ``[..., classes]``: themselves, the softmax of logits, or the sigmoid of each."""
    if contract["output"] == "probabilities":
        return scores
    if are_several(contract):
        return 1 / (1 + np.exp(-scores.astype(np.float64)))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def answer(scores, contract, topk):
    """The ``topk`` best classes of one picture; where it can have several, also those that reach their threshold."""
    order = [int(number) for number in np.argsort(-scores, kind="stable")]
    names, told = contract["class_names"], {"top": order[:topk]}
    if are_several(contract):
        levels = contract["thresholds"] or [0.5] * len(names)
        told["tags"] = [c for c in order if scores[c] >= levels[c]]
    return {of: [{"class": c, "name": names[c], "score": float(scores[c])} for c in told[of]] for of in told}


def check_tags(contract):
    """Raise ``ValueError`` if what ``inference.yaml`` says of several classes a picture makes no sense."""
    levels, count = contract.get("thresholds") or [], len(contract["class_names"])
    if contract.get("activation", "softmax") != ("sigmoid" if are_several(contract) else "softmax"):
        raise ValueError("in inference.yaml activation contradicts format")
    if len(levels) not in (0, count) or not all(type(one) in (int, float) and 0 <= one <= 1 for one in levels):
        raise ValueError(f"in inference.yaml thresholds are not numbers from 0 to 1 for {count} classes")
