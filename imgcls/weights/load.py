"""Weights from any source into a network, all or nothing, with a report on every tensor.

What may differ, and what may not:

- A tensor of the last layer (``head``) that differs in the class count only: the head is
  re-initialised. Any other difference of shape is an error that lists names and shapes.
- The first convolution, when the network takes other than three channels: summed or repeated.
- A tensor of the network that the file lacks: an error, unless it is excluded. (The original
  skipped such tensors without a word.)
- A tensor of the file that the network lacks: reported, never an error. Training checkpoints carry
  optimizer state, averages and counters, and the plain parameters of such a checkpoint are what is
  loaded, as the original did; ``fluid_training.select_averaged`` picks the averages instead.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import paddle

from imgcls.errors import UserError
from imgcls.models.layers import Network, fluid_names
from imgcls.models.patterns import matching
from imgcls.models.registry import ModelInfo
from imgcls.weights import adapt
from imgcls.weights.download import fetch
from imgcls.weights.fluid.training import is_training_state
from imgcls.weights.peers import rules
from imgcls.weights.peers.adopt import adopt
from imgcls.weights.report import LoadReport, Mismatch, Stored, WeightsMismatch, some
from imgcls.weights.source import Naming, locate_weights, read_weights

ASSETS = Path(__file__).parents[1] / "assets" / "weights"
SHOWN_IN_ERRORS = 10

log = logging.getLogger(__name__)


def load_pretrained(
    network: Network,
    info: ModelInfo,
    pretrained: bool | str | Path,
    exclude: Iterable[str] = (),
    pretrained_from: str | None = None,
) -> LoadReport:
    """Load the weights that ``pretrained`` stands for into ``network``.

    Args:
        pretrained: ``True`` for the weights bundled with this library, else the published ones;
            or any path that ``read_weights`` takes, or ``hf-hub:<owner>/<repository>``.
        exclude: see ``load_into``.
        pretrained_from: whose weights they are, where the file does not tell; see ``peers.adopt``.

    Raises:
        UserError: there are no such weights, or they do not fit; then nothing was loaded.
    """
    path = _own_weights(info) if pretrained is True else locate_weights(pretrained)
    adopted = adopt(network, info, read_weights(path), path, pretrained_from)
    try:
        report = load_into(network, adopted.arrays, adopted.naming, exclude, source=str(path))
    except WeightsMismatch as error:
        if pretrained is True and info.published and info.published_name not in path.name:
            error.add(
                f"The published link of {info.name} leads to {path.name}, as it did in the original; that is another "
                "network's file. Take weights from elsewhere: model.pretrained=<path>."
            )
        raise
    report.peer, report.remarks = adopted.peer and rules.title(adopted.peer), adopted.remarks
    log.log(logging.INFO if report.is_plain else logging.WARNING, "%s", report.summary())
    return report


def load_into(
    network: Network,
    arrays: Mapping[str, np.ndarray],
    naming: Naming | None = None,
    exclude: Iterable[str] = (),
    *,
    strict: bool = True,
    source: str = "the weights",
) -> LoadReport:
    """Copy tensors into ``network`` by name; the module says what may differ.

    Args:
        naming: what the names in ``arrays`` are; ``None`` takes whichever the network knows more of.
        exclude: tensors to leave as they are: substrings, or patterns with ``*``, ``?`` or ``[``, of
            their ``state_dict`` key or fluid name.
        strict: whether a tensor that ``arrays`` lacks is an error; else it is reported and left as it is.
        source: where the arrays came from, for the report and for messages.

    Raises:
        UserError: an ``exclude`` pattern matches nothing, or values are not finite.
        WeightsMismatch: tensors are missing or of another shape.
    """
    names = fluid_names(network)
    stored = _stored_names(names, arrays, naming)
    report = LoadReport(excluded=matching(names, exclude, option="model.exclude"), source=source)
    mismatched = _compare(network.state_dict(), arrays, stored, report)
    if report.reinitialised and not hasattr(network, "reset_head"):
        mismatched, report.reinitialised = report.reinitialised + mismatched, []
    if mismatched or (strict and report.missing):
        error = _misfit(report, mismatched, stored)
        if not hasattr(network, "reset_head") and any(adapt.is_class_axis_mismatch(*each[1:]) for each in mismatched):
            error.add(
                f"If it is the class count that differs: {type(network).__name__} has no reset_head, by which an "
                "imgcls.models.layers.Network gets another last layer. model.exclude=[<its name>] leaves it fresh."
            )
        raise error
    values = {key: _values(arrays[stored[key]], stored[key], source) for key in report.loaded}
    for key, _, want in report.adapted:
        values[key] = adapt.adapt_input_channels(values[key], want[1])
    report.former_head = {key: adapt.to_float32(arrays[stored[key]]) for key, *_ in report.reinitialised}
    if report.reinitialised:
        network.reset_head(adapt.class_count(report.reinitialised[0].want))
    state = network.state_dict()
    for key, value in values.items():
        state[key].set_value(paddle.to_tensor(value, dtype=state[key].dtype))
    return report


def _own_weights(info: ModelInfo) -> Path:
    if info.bundled:
        return ASSETS / f"{info.name}.npz"
    if info.source is not None:
        raise UserError(
            f"The weights of {info.name} are {info.source} ({info.licence}), which is not downloaded by itself. Fetch "
            "the file and name it: model.pretrained=<path>."
        )
    if info.weights_url is None:
        raise UserError(f"No weights were published for {info.name}. Name a file: model.pretrained=<path>.")
    return fetch(info.weights_url, pinned=info.weights_sha256)


def _stored_names(names: dict[str, str], arrays: Mapping[str, np.ndarray], naming: Naming | None) -> dict[str, str]:
    """The name each tensor of the network has in the file."""
    structured = {key: key for key in names}
    candidates = {"structured": [structured], "fluid": [names], None: [structured, names]}[naming]
    return max(candidates, key=lambda candidate: len(arrays.keys() & set(candidate.values())))


def _compare(
    state: Mapping[str, paddle.Tensor], arrays: Mapping[str, np.ndarray], stored: dict[str, str], report: LoadReport
) -> list[Mismatch]:
    """Sort the tensors of both sides into ``report``; returns those whose shapes cannot be reconciled."""
    mismatched = []
    for key in state:
        if key in report.excluded:
            continue
        if stored[key] not in arrays:
            report.missing.append(key)
            continue
        have, want = tuple(arrays[stored[key]].shape), tuple(state[key].shape)
        mismatch = Mismatch(key, have, want)
        if have == want:
            report.loaded.append(key)
        elif _is_head(key) and adapt.is_class_axis_mismatch(have, want):
            report.reinitialised.append(mismatch)
        elif adapt.is_input_axis_mismatch(have, want):
            report.loaded.append(key)
            report.adapted.append(mismatch)
        else:
            mismatched.append(mismatch)
    known = set(stored.values())
    report.unexpected = [Stored(name, tuple(array.shape)) for name, array in arrays.items() if name not in known]
    report.training_state = sum(is_training_state(name, arrays) for name, _ in report.unexpected)
    return mismatched


def _is_head(key: str) -> bool:
    """Whether a tensor belongs to a last layer: ``head.weight``, or ``aux1.head.bias`` of an auxiliary one."""
    return "head" in key.split(".")[-2:-1]


def _values(array: np.ndarray, name: str, source: str) -> np.ndarray:
    values = adapt.to_float32(array)
    if values.dtype != np.float32:
        raise UserError(f"'{name}' in {source} holds {array.dtype} values; weights are floating point.")
    if not np.isfinite(values).all():
        count = np.size(values) - np.count_nonzero(np.isfinite(values))
        raise UserError(f"'{name}' in {source} holds {count} values that are not finite (NaN or infinity).")
    return values


def _misfit(report: LoadReport, mismatched: list[Mismatch], stored: dict[str, str]) -> WeightsMismatch:
    def full(key: str) -> str:
        return key if stored[key] == key else f"{key} = '{stored[key]}'"

    lines = [f"{report.source} does not fit the network; nothing was loaded."]
    if not report.loaded:
        lines.append("No tensor of the file fits: these are weights of something else.")
    wrong = [mismatch._replace(name=full(mismatch.name)) for mismatch in mismatched]
    for title, tensors in (
        ("missing in the file", [full(key) for key in report.missing]),
        ("of another shape (file -> network)", wrong),
        ("in the file but not in the network", report.unexpected),
    ):
        if tensors:
            lines.append(f"{len(tensors)} {title}: {some(tensors, SHOWN_IN_ERRORS)}")
    if report.loaded and report.missing and not mismatched and all(map(_is_head, report.missing)):
        lines.append("It has no last layer and gives features. 'model.exclude=[head]' leaves ours fresh to train.")
    return WeightsMismatch("\n".join(lines), report.missing, mismatched, report.unexpected)
