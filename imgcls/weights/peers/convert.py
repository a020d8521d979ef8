"""Tensors of a peer into the names, shapes and conventions of a network of ours, and back; equal or refused."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from paddle import nn

from imgcls.errors import UserError, listed
from imgcls.machine.paddle_internals import epsilon
from imgcls.models.layers import Network
from imgcls.weights.adapt import to_float32
from imgcls.weights.choices import TORCH_PEERS
from imgcls.weights.peers import tricks
from imgcls.weights.peers.rules import Rule, title

Arrays = dict[str, np.ndarray]
TORCH_LEAVES = {"_mean": "running_mean", "_variance": "running_var"}
NOT_WEIGHTS = ("num_batches_tracked",)
HEAD = "head"
"""The last layer of every network of ours."""

BEHIND_DROPOUT = {"alexnet": ("fc6", "fc7"), "vgg": ("fc7", HEAD)}
"""Layers that follow a dropout, by module; the head in the others."""


class Converted(NamedTuple):
    """Tensors by the ``state_dict`` keys of ours, and what was done to them, in words."""

    arrays: Arrays
    remarks: list[str]


def layers_of(keys: Mapping[str, object]) -> dict[str, list[str]]:
    """Layer by layer what they hold, in order: ``{"stem.0.conv": ["weight"], ...}``, counters left out."""
    layers: dict[str, list[str]] = {}
    for key in keys:
        layer, _, leaf = key.rpartition(".")
        if leaf not in NOT_WEIGHTS:
            layers.setdefault(layer, []).append(leaf)
    return layers


def their_names(network: Network, rule: Rule, peer: str, arrays: Mapping[str, np.ndarray]) -> list[str | None] | None:
    """The peer's layer for each of ours; ``None`` in place of all where the file's layers are others in number."""
    planned = list(rule.layers(network)) if rule.layers else []
    if peer in TORCH_PEERS:
        return planned
    theirs = iter(layers_of(arrays))
    ours = layers_of(network.state_dict())
    lacking = [name is None for name in planned] or [False] * len(ours)
    names = [None if lacks else next(theirs, "") for lacks in lacking]
    return None if "" in names or next(theirs, None) is not None else names


def from_peer(
    network: Network, module: str, arrays: Mapping[str, np.ndarray], names: list[str | None], rule: Rule, peer: str
) -> Converted:
    """The tensors of ``arrays`` as ours; without ours of the last layer where they have none of it.

    Raises:
        UserError: a tensor is missing or left over, or of another kind than ours.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    torch = peer in TORCH_PEERS
    made: Arrays = {}
    used: set[str] = set()
    missing: list[str] = []
    of_the_head: list[str] = []
    identities: list[str] = []
    epsilons = _epsilons(network)
    pending = None  # the bias of a convolution that ours has none for
    ours = layers_of(shapes)
    if len(ours) != len(names):
        raise UserError(f"This network has {len(ours)} layers, and {title(peer)}'s {len(names)}.")
    for (layer, leaves), marked in zip(ours.items(), names, strict=True):
        if marked is None:
            identities.append(layer)
            made |= _identity(layer, leaves, shapes, epsilons)
            continue
        name = marked.partition("@")[0]
        for leaf in leaves:
            key = f"{name}.{TORCH_LEAVES.get(leaf, leaf) if torch else leaf}"
            if key not in arrays:
                (of_the_head if layer == HEAD else missing).append(key)
                continue
            used.add(key)
            made[f"{layer}.{leaf}"] = _fit(to_float32(arrays[key]), len(shapes[f"{layer}.{leaf}"]), torch)
        if "_mean" in leaves and f"{layer}._mean" in made and pending is not None:
            made[f"{layer}._mean"] = tricks.fold_bias(made[f"{layer}._mean"], pending)
            pending = None
        bias = f"{name}.bias"
        if "bias" not in leaves and bias in arrays and pending is None:
            pending = to_float32(arrays[bias])
            used.add(bias)
    if f"{HEAD}.weight" in made or f"{HEAD}.bias" in made:
        missing += of_the_head
    left = [key for key in arrays if key not in used and key.rpartition(".")[2] not in NOT_WEIGHTS]
    if missing or left or pending is not None:
        what = [f"{one}: {listed(keys, 5)}" for one, keys in (("missing", missing), ("left over", left)) if keys]
        raise UserError(f"{'; '.join(what) or 'a bias is left over'}.")
    remarks = [f"identities for {listed(identities, 3)}, which it does not have"] if identities else []
    if rule.epsilon and _fold_epsilon(made, epsilons, rule.epsilon(network)):
        remarks.append(f"batch norms with an epsilon of {rule.epsilon(network):g} folded into ours")
    if (kept := _dropout(network)) and not rule.scales_dropout:
        for layer in BEHIND_DROPOUT.get(module, (HEAD,)):
            if f"{layer}.weight" not in made:
                continue
            made[f"{layer}.weight"] = tricks.divide_by_kept(made[f"{layer}.weight"], kept)
        remarks.append(f"weights behind a dropout divided by {1 - kept:g}")
    return Converted(made, remarks)


def to_torch(network: Network, module: str, names: list[str | None], rule: Rule, peer: str) -> Arrays:
    """The tensors of ``network`` by torchvision's or timm's names, for its ``load_state_dict``.

    Raises:
        UserError: the peer has no place for what a layer has learned.
    """
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    epsilons = _epsilons(network)
    kept = _dropout(network)
    behind = BEHIND_DROPOUT.get(module, (HEAD,)) if kept and not rule.scales_dropout else ()
    result: Arrays = {}
    for (layer, leaves), marked in zip(layers_of(state).items(), names, strict=True):
        values = {leaf: state[f"{layer}.{leaf}"] for leaf in leaves}
        if marked is None:
            _require_identity(layer, values, epsilons, peer)
            continue
        name, _, kernel = marked.partition("@")
        if layer in behind:
            values["weight"] = values["weight"] * np.float32(1 - kept)
        if "_mean" in values:
            if rule.epsilon:
                ours, theirs = epsilons[layer], rule.epsilon(network)
                values["weight"] = tricks.fold_epsilon(values["weight"], values["_variance"], ours, theirs)
        elif values["weight"].ndim == 2:
            values["weight"] = values["weight"].T
            if kernel:
                side = int(kernel)
                values["weight"] = values["weight"].reshape(len(values["weight"]), -1, side, side)
        elif kernel == "fc":
            values["weight"] = values["weight"].reshape(len(values["weight"]), -1)
        for leaf, value in values.items():
            result[f"{name}.{TORCH_LEAVES.get(leaf, leaf)}"] = np.ascontiguousarray(value, np.float32)
        if "_mean" in values:
            result[f"{name}.num_batches_tracked"] = np.array(0, np.int64)
    if peer == "timm" and module == "hrnet":  # whose convolutions there have a bias before their batch norm
        for name in [name for name in names if re.fullmatch(r"(downsamp_modules\.\d|final_layer)\.0", name or "")]:
            result[f"{name}.bias"] = np.zeros(len(result[f"{name}.weight"]), np.float32)
    return result


def _fit(array: np.ndarray, dimensions: int, torch: bool) -> np.ndarray:
    """A weight in our form: fully connected ``(in, out)``, a convolution ``(out, in, kh, kw)``."""
    if dimensions == 2 and array.ndim == 4:
        return array.reshape(len(array), -1).T
    if dimensions == 4 and array.ndim == 2:
        return (array if torch else array.T)[:, :, None, None]
    return array.T if dimensions == array.ndim == 2 and torch else array


def _identity(layer: str, leaves: list[str], shapes: Mapping[str, tuple], epsilons: Mapping[str, float]) -> Arrays:
    if "_mean" in leaves:
        values = tricks.identity_batch_norm(shapes[f"{layer}.weight"][0], epsilons[layer])
        return {f"{layer}.{leaf}": value for leaf, value in values.items()}
    return {f"{layer}.weight": tricks.identity_convolution(shapes[f"{layer}.weight"])}


def _require_identity(layer: str, values: Arrays, epsilons: Mapping[str, float], peer: str) -> None:
    if "_mean" in values:
        expected = tricks.identity_batch_norm(len(values["weight"]), epsilons[layer])
    else:
        expected = {"weight": tricks.identity_convolution(values["weight"].shape)}
    if not all(np.allclose(values[leaf], expected[leaf], rtol=0, atol=1e-6) for leaf in values):
        raise UserError(
            f"{title(peer)}'s network has no {layer.rpartition('.')[0] or layer}, and this one has learned something "
            "there: there is no equal network. Write a .safetensors file with our own names: convert.names=imgcls."
        )


def _epsilons(network: Network) -> dict[str, float]:
    kinds = (nn.BatchNorm2D, nn.BatchNorm)
    return {name: epsilon(layer) for name, layer in network.named_sublayers() if isinstance(layer, kinds)}


def _fold_epsilon(made: Arrays, epsilons: Mapping[str, float], theirs: float) -> bool:
    folded = False
    for layer, ours in epsilons.items():
        if ours != theirs:
            gamma, variance = made[f"{layer}.weight"], made[f"{layer}._variance"]
            made[f"{layer}.weight"] = tricks.fold_epsilon(gamma, variance, theirs, ours)
            folded = True
    return folded


def _dropout(network: Network) -> float:
    """The probability of a dropout that scales at inference; 0 where there is none."""
    layer = network.dropout
    scales = isinstance(layer, nn.Dropout) and layer.mode == "downscale_in_infer"
    return float(layer.p) if scales else 0.0
