"""Whose weights a file holds, and what they are as ours: found out by its names, else by what the user says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgcls.errors import UserError, listed
from imgcls.machine.reading import shown
from imgcls.models.layers import Network, fluid_names
from imgcls.models.registry import ModelInfo
from imgcls.weights.choices import OURS, PEERS, TORCH_PEERS
from imgcls.weights.peers.by_name import from_source, source_of, to_source
from imgcls.weights.peers.convert import from_peer, layers_of, their_names, to_torch
from imgcls.weights.peers.rules import PADDLE_VISION_BEGINS, REASONS, RULES, Peer, Rule, title
from imgcls.weights.source import Naming, Weights


class Adopted(NamedTuple):
    """Tensors for ``load_into``; ``peer`` is ``None`` where they were ours as they stood."""

    arrays: Mapping[str, np.ndarray]
    naming: Naming | None
    peer: Peer | None
    remarks: list[str]


class _Found(NamedTuple):
    peer: Peer
    rule: Rule
    names: list[str | None]


def adopt(network: Network, info: ModelInfo, weights: Weights, source: str | Path, said: str | None = None) -> Adopted:
    """Weights as ours, whoever wrote them.

    Args:
        weights: of ``read_weights``.
        source: where they come from, for messages; a file's own name may say its architecture.
        said: whose weights they are: a key of ``RULES``, ``imgcls``, or ``timm/<architecture>``.

    Raises:
        UserError: they are a peer's and not exactly what this network computes, or the file does not tell.
    """
    wanted, _, architecture = (said or "").partition("/")
    if wanted == OURS or (not wanted and source_of(network, info) is None and not _is_foreign(network, weights)):
        return Adopted(weights.arrays, weights.naming, None, [])
    said_to_be = architecture or weights.architecture
    found = None
    if isinstance(network, Network):
        found = _find(network, info.module, weights, wanted or None, said_to_be)
    if found is None and source_of(network, info) is not None and weights.maker is not None:
        if wanted and wanted not in RULES:
            _require_rule(info, wanted)
        converted = from_source(network, info, weights, source, wanted, said_to_be)
        if converted is None:
            return Adopted(weights.arrays, weights.naming, None, [])
        return Adopted(converted.arrays, "structured", source_of(network, info), converted.remarks)
    if found is None:
        if wanted:
            _require_rule(info, wanted)
        if wanted or (weights.maker == "torch" and _is_known(info)):
            raise UserError(_no_way(network, info, weights, source, wanted))
        return Adopted(weights.arrays, weights.naming, None, [])
    peer, rule, names = found
    _require_same(network, info, rule, peer, said_to_be, source)
    try:
        arrays, remarks = from_peer(network, info.module, weights.arrays, names, rule, peer)
    except UserError as error:
        raise UserError(
            f"{source} has names of {title(peer)}, but it is not its {info.name}; nothing was loaded. {error}"
        ) from None
    return Adopted(arrays, "structured", peer, remarks)


def named_for_torch(network: Network, info: ModelInfo, wanted: str | None = None) -> tuple[dict[str, np.ndarray], str]:
    """The tensors of a network by the names of torchvision or timm, the first that has it, and whose they are.

    Those of a modern network by the names of the package that it is from.

    Args:
        wanted: whose names, ``imgcls`` for those of our ``state_dict``.

    Raises:
        UserError: neither has this network, or what it learned has no place there.
    """
    if (maker := source_of(network, info)) is not None and wanted in (None, maker):
        return to_source(network, info), maker
    found = None if wanted == OURS else _torch_rule(network, info, wanted)
    if found is not None:
        return to_torch(network, info.module, found.names, found.rule, found.peer), found.peer
    if wanted != OURS:
        said = " ".join(_none_of(info, peer) for peer in ((wanted,) if wanted else TORCH_PEERS))
        raise UserError(f"{said} With convert.names=imgcls the tensors keep our own names.")
    return {key: tensor.numpy() for key, tensor in network.state_dict().items()}, OURS


def _torch_rule(network: Network, info: ModelInfo, wanted: str | None) -> _Found | None:
    """Nothing where a network computes something else than theirs."""
    for peer in (wanted,) if wanted else TORCH_PEERS:
        rule = RULES.get(peer, {}).get(info.module)
        if rule is None or not rule.knows(network):
            continue
        if rule.needs(network) is None:
            return _Found(peer, rule, list(rule.layers(network)))
    return None


def _is_foreign(network: Network, weights: Weights) -> bool:
    """Whether most of the names are not ours: those of a Paddle file may be fluid ones."""
    if weights.maker is None:
        return False
    ours = fluid_names(network)
    keys = weights.arrays.keys()
    known = len(keys & ours.keys())
    if weights.maker == "paddle":
        known = max(known, len(keys & set(ours.values())))
        return known < len(ours) and len(layers_of(weights.arrays)) > 1
    return known < len(ours)


def _find(
    network: Network, module: str, weights: Weights, wanted: str | None, architecture: str | None
) -> _Found | None:
    """The peer whose names fit best; where two have the same names, the first, or timm if its file says so."""
    found: list[tuple[int, _Found]] = []
    layers = layers_of(weights.arrays)
    for peer in PEERS:
        rule = RULES[peer].get(module)
        if (
            rule is None
            or not rule.knows(network)
            or wanted not in (None, peer)
            or (peer in TORCH_PEERS) != (weights.maker == "torch")
        ):
            continue
        if peer == "paddleclas" and (named := _by_variable_names(network, weights)):
            return _Found(peer, rule, named)
        names = their_names(network, rule, peer, weights.arrays)
        if names is None:
            continue
        known = sum(name.partition("@")[0] in layers for name in names if name)
        likely = _likely(peer, weights, architecture)
        if wanted or 2 * known > len(names):
            found.append((2 * known + likely, _Found(peer, rule, names)))
    return max(found, key=lambda each: each[0])[1] if found else None


def _likely(peer: Peer, weights: Weights, architecture: str | None) -> int:
    """1 for the one of two peers that what stands beside the names speaks for."""
    if peer in TORCH_PEERS:
        return int(peer == "timm" and architecture is not None)
    return int((peer == "paddle_vision") == (next(iter(weights.arrays)) in PADDLE_VISION_BEGINS))


def _by_variable_names(network: Network, weights: Weights) -> list[str] | None:
    """Layers of a PaddleClas file by the fluid names it carries; ``None`` where they are not all ours."""
    theirs = {variable: key for key, variable in weights.variables.items() if key in weights.arrays}
    ours = fluid_names(network)
    if not all(variable in theirs for variable in ours.values()):
        return None
    return [theirs[ours[f"{layer}.{leaves[0]}"]].rpartition(".")[0] for layer, leaves in layers_of(ours).items()]


def _require_same(
    network: Network, info: ModelInfo, rule: Rule, peer: Peer, architecture: str | None, source: str | Path
) -> None:
    if architecture and not re.fullmatch(rule.called, architecture.partition(".")[0]):
        raise UserError(
            f"{source} is {title(peer)}'s {shown(architecture)}, which is not exactly {info.name}, whatever its "
            "tensors are called; nothing was loaded."
        )
    evidence = architecture or Path(source).name
    needed = rule.needs(network)
    if rule.asks:
        name = _timm_name(info)
        tensorflow = re.match(r"tf_efficientnet", evidence) is not None
        if not tensorflow and not re.match(r"efficientnet_b\d", evidence):
            raise UserError(
                f"{source} is timm's tf_{name} or its {name}, which pad in other ways under the same names. Say which: "
                f"model.pretrained_from=timm/tf_{name}, or model.pretrained_from=timm/{name} with "
                "model.args.padding_type=DYNAMIC."
            )
        wanted = "SAME" if tensorflow else "DYNAMIC"
        needed = None if network.padding_type == wanted else f"model.args.padding_type={wanted}"
    if needed:
        raise UserError(
            f"{source} has weights of {title(peer)}, whose {info.name} computes something else than ours does as "
            f"published; nothing was loaded. It is the same with {needed}."
        )


def _timm_name(info: ModelInfo) -> str:
    return re.sub(r"efficientnetb(\d).*|efficientnet$", lambda match: f"efficientnet_b{match[1] or 0}", info.name)


def _is_known(info: ModelInfo) -> bool:
    """Whether there is anything to say of a peer's network of this family."""
    return any(info.module in RULES[peer] or (peer, info.module) in REASONS for peer in PEERS)


def _require_rule(info: ModelInfo, wanted: str) -> None:
    if wanted not in RULES:
        raise UserError(
            f"model.pretrained_from={wanted}: there is no such library. Known are {listed((OURS, *PEERS))}."
        )
    if info.module not in RULES[wanted]:
        raise UserError(_none_of(info, wanted))


def _none_of(info: ModelInfo, peer: str) -> str:
    reason = REASONS.get((peer, info.module))
    if reason is None and info.module in RULES[peer]:
        reason = "it has no such network, or its own computes something else than ours does as it is set"
    return f"No weights of {title(peer)} are exactly {info.name}'s" + (f": {reason}." if reason else ".")


def _no_way(network: Network, info: ModelInfo, weights: Weights, source: str | Path, wanted: str) -> str:
    peers = [wanted] if wanted else [peer for peer in TORCH_PEERS if info.module in RULES[peer]]
    if not peers:
        return f"{source}: {' '.join(_none_of(info, peer) for peer in TORCH_PEERS)} Nothing was loaded."
    names = listed([str(name) for name in weights.arrays], 3)
    expected = RULES[peers[0]][info.module].layers
    example = f", such as {next(name for name in expected(network) if name)}.weight" if expected else ""
    return (
        f"{source} does not fit {info.name}; nothing was loaded. Its tensors are called {names}, and those of "
        f"{' and '.join(map(title, peers))} otherwise{example}. These are weights of something else."
    )
