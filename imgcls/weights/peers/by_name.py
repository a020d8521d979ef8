"""Weights of the package that a modern network is from: by the names its tensors carry, all of them or none.

timm's are PyTorch's, whose fully connected weights stand the other way round; PaddleClas's are as ours.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from paddle import nn

from imgcls.errors import UserError, listed
from imgcls.machine.reading import shown
from imgcls.models.modern_layers import SourceNetwork
from imgcls.models.registry import ModelInfo, shipped
from imgcls.weights.adapt import to_float32
from imgcls.weights.choices import TORCH_PEERS
from imgcls.weights.peers.convert import Arrays, Converted
from imgcls.weights.peers.rules import Peer, title
from imgcls.weights.source import Weights

COMPUTED = re.compile(r"(^|\.)(num_batches_tracked|relative_position_index|relative_coords_table|attn_mask)$")
"""What a state dict holds beside weights."""
SUM_OF_BRANCHES = re.compile(r"\.dw_conv\.(weight|bias)$")
"""Of PP-LCNetV2 in training: the place of the branches' sum, which has not been computed there."""
SAME_BUT_FOR_THE_NAME = ("vit",)
"""Families whose networks of equal tensors compute the same, as DeiT and ViT do."""


def source_of(network: nn.Layer, info: ModelInfo) -> Peer | None:
    """Whose names the tensors carry; ``None`` for a network whose names are its own."""
    if not isinstance(network, SourceNetwork) or info.source is None:
        return None
    return "paddleclas" if info.source.startswith("PaddleClas/") else "timm"


def from_source(
    network: SourceNetwork, info: ModelInfo, weights: Weights, source: str | Path, said: str, architecture: str | None
) -> Converted | None:
    """Tensors of the network's source as ours; ``None`` for a file that has our own names.

    The last layer may be of other classes or absent, which is for ``load_into`` to judge.

    Args:
        said: whose they are by the user's word, empty where there is none.
        architecture: what the user or the file says that the network is called there.

    Raises:
        UserError: they are not exactly this network's.
    """
    peer = source_of(network, info)
    if said not in ("", peer):
        raise UserError(
            f"No weights of {title(said)} are known to be exactly {info.name}'s; those of {title(peer)} are: "
            f"{info.source}."
        )
    names = {key: tensor.name for key, tensor in network.state_dict().items()}
    theirs = set(names.values())
    stored = {name for name in weights.arrays if not COMPUTED.search(name)}
    if peer == "paddleclas":
        stored -= {name for name in stored - theirs if SUM_OF_BRANCHES.search(name)}
    fits = len(stored & theirs)
    turned = _turned(network) if peer in TORCH_PEERS else set()
    if weights.maker == "paddle" and peer in TORCH_PEERS:
        return None
    known = len(stored & set(names))
    if not said and (2 * known > max(2 * fits, len(names)) or _stands_as_ours(network, names, turned, weights.arrays)):
        return None
    if 2 * fits <= len(theirs):
        raise UserError(
            f"{source} does not fit {info.name}; nothing was loaded. Its tensors are called "
            f"{listed([str(name) for name in weights.arrays], 3)}, and those of {title(peer)} otherwise, such as "
            f"{next(iter(names.values()))}. These are weights of something else."
        )
    _require_this_one(info, peer, architecture, source)
    head = {name for key, name in names.items() if _is_head(key)}
    missing = [name for name in names.values() if name not in stored and not (name in head and not head & stored)]
    left = [name for name in weights.arrays if name in stored - theirs]
    if missing or left:
        what = [f"{one}: {listed(keys, 5)}" for one, keys in (("missing", missing), ("left over", left)) if keys]
        raise UserError(
            f"{source} has names of {title(peer)}, but it is not its {info.name}; nothing was loaded. "
            f"{'; '.join(what)}."
        )
    arrays = {key: to_float32(weights.arrays[name]) for key, name in names.items() if name in stored}
    for key in turned & arrays.keys():
        if arrays[key].ndim > 1:
            arrays[key] = arrays[key].reshape(len(arrays[key]), -1).T
    return Converted(arrays, [])


def to_source(network: SourceNetwork, info: ModelInfo) -> Arrays:
    """The tensors by the names and in the shapes of the source, for its ``load_state_dict``."""
    torch = source_of(network, info) in TORCH_PEERS
    turned = _turned(network) if torch else set()
    as_kernels = {f"{layer}.weight" for layer in network.source_kernels()} if torch else set()
    result: Arrays = {}
    for key, tensor in network.state_dict().items():
        values = tensor.numpy()
        if key in turned:
            values = values.T
        if key in as_kernels:
            values = values[:, :, None, None]
        result[tensor.name] = np.ascontiguousarray(values, np.float32)
        if torch and key.endswith("._variance"):
            result[re.sub(r"running_var$", "num_batches_tracked", tensor.name)] = np.array(0, np.int64)
    return result


def _turned(network: nn.Layer) -> set[str]:
    """Keys of the fully connected weights, which PyTorch has as ``(out, in)``."""
    return {f"{name}.weight" for name, layer in network.named_sublayers() if isinstance(layer, nn.Linear)}


def _stands_as_ours(
    network: nn.Layer, names: Mapping[str, str], turned: set[str], arrays: Mapping[str, np.ndarray]
) -> bool:
    """Of families whose names are ours anyhow: whether fully connected weights have our shape and not the other."""
    if any(key != name for key, name in names.items()):
        return False
    state = network.state_dict()
    shapes = [(tuple(arrays[key].shape), tuple(state[key].shape)) for key in turned if key in arrays]
    return any(have == want != want[::-1] for have, want in shapes)


def _is_head(key: str) -> bool:
    return "head" in key.split(".")[-2:-1]


def _require_this_one(info: ModelInfo, peer: Peer, architecture: str | None, source: str | Path) -> None:
    """That what is said of the architecture is this one, and that something is where the tensors do not tell."""
    if peer not in TORCH_PEERS:
        return
    others = [
        name
        for name, other in shipped().items()
        if other.module == info.module and other.params == info.params and name != info.name
    ]
    said = architecture and architecture.partition(".")[0]
    if said is None:
        if not others or info.module in SAME_BUT_FOR_THE_NAME:
            return
        begins = [name for name in (info.name, *others) if Path(source).name.lower().startswith(name)]
        said = max(begins, key=len, default=None)
    if said is None:
        raise UserError(
            f"{source} may be {title(peer)}'s {info.name} or its {listed(others)}, whose tensors do not tell them "
            f"apart. If it is this one, say so: model.pretrained_from={peer}/{info.name}."
        )
    equal = info.module in SAME_BUT_FOR_THE_NAME and said in others
    if said != info.name and not equal:
        hint = f" That is model={said}." if said in shipped() else ""
        raise UserError(
            f"{source} is {title(peer)}'s {shown(said)}, which is not exactly {info.name}, whatever its tensors are "
            f"called; nothing was loaded.{hint}"
        )
