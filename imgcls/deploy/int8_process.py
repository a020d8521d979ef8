"""The process that makes int8 layers: ``python -m imgcls.deploy.int8_process <scratch> <parent>``."""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.deploy import onnx_int8, openvino_int8
from imgcls.deploy.contract import Contract, read_contract
from imgcls.deploy.engines import CHECKED_WITH, ENGINES
from imgcls.deploy.int8 import RESULT, TASK, LabelledImages
from imgcls.deploy.predictor import ExportPredictor
from imgcls.errors import UserError
from imgcls.machine.processes import end_with_parent

BATCH = 8
DIGITS = 4
MAKERS = {"openvino": openvino_int8, "onnx": onnx_int8}


def main(scratch: Path, parent: int) -> None:
    end_with_parent(parent)
    task = json.loads((scratch / TASK).read_text(encoding="utf-8"))
    try:
        answer = {"cost": _carry_out(task)}
    except UserError as error:
        answer = {"error": str(error)}
    (scratch / RESULT).write_text(json.dumps(answer), encoding="utf-8")


def _carry_out(task: dict[str, Any]) -> dict[str, Any] | None:
    directory = Path(task["directory"])
    if "noise" in task:
        openvino_int8.quantize_for_measuring(directory, task["noise"])
        return None
    calibration, images = (
        np.memmap(at["file"], np.uint8, "r", at["offset"], tuple(at["shape"]))
        for at in (task["calibration"], task["validation"])
    )
    validation, max_drop = LabelledImages(images, np.array(task["labels"])), task["max_drop"]
    contract, maker = read_contract(directory), MAKERS[task["graph"]]
    before = _probabilities(directory, contract, validation)
    int8, layers = maker.quantize_bounded(directory, contract, calibration, validation, max_drop)
    cost = _cost(before, _probabilities(directory, contract, validation), validation.labels)
    if not int8 or cost["float"] - cost["int8"] > max_drop + 1e-9:
        raise UserError(
            f"int8 cannot be had within export.max_drop={max_drop:g}: the share of right answers on {len(validation)} "
            f"pictures is {cost['float']:.4f} in float and {cost['int8']:.4f} with {int8} of {layers} layers in int8. "
            "Nothing was written. Allow more, or export without export.quantize."
        )
    return {
        "precision": "int8",
        "layers": int8,
        "of_layers": layers,
        "metric": "top1",
        **cost,
        "max_drop": max_drop,
        "pictures": len(validation),
        "calibrated_on": len(calibration),
        **maker.versions(),
    }


def _probabilities(directory: Path, contract: Contract, validation: LabelledImages) -> np.ndarray:
    predictor = ExportPredictor(contract, ENGINES[CHECKED_WITH[contract.graph][0]](directory))
    parts = [validation.images[start : start + BATCH] for start in range(0, len(validation), BATCH)]
    return np.concatenate([predictor.probabilities(np.asarray(part)) for part in parts])


def _cost(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    right = {"float": before.argmax(axis=1) == labels, "int8": after.argmax(axis=1) == labels}
    return {
        **{name: round(float(values.mean()), DIGITS) for name, values in right.items()},
        "same_class": round(float((before.argmax(axis=1) == after.argmax(axis=1)).mean()), DIGITS),
        "largest_difference": round(float(np.abs(before - after).max()), DIGITS),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    gc.freeze()  # to look for garbage in all that was loaded takes a third of a second at the end
