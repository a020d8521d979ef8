"""Say what is in pictures with an exported model under OpenVINO, without imgcls or paddle; a line of JSON for each."""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import openvino

sys.path.append(str(Path(__file__).with_name("service")))
from answers import answer, probabilities
from channels import count_of
from fitting import input_size
from operators import check_model
from pictures import network_input
from plain_yaml import read

MODELS = ("inference.pdmodel", "inference.onnx", "inference.xml")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("directory", type=Path, help="of the export: of Paddle, ONNX or OpenVINO")
parser.add_argument("pictures", nargs="+")
parser.add_argument("--topk", type=int, default=5)
parser.add_argument("--max-pixels", type=int, default=178_956_970, help="of a picture (%(default)s)")
options = parser.parse_args()
try:
    contract = read(options.directory / "inference.yaml")
    check_model(options.directory)  # an operator can write files as well
    model = next((options.directory / name for name in MODELS if (options.directory / name).is_file()), None)
    if model is None:
        raise ValueError("OpenVINO reads none of its files; of PaddlePaddle 3, export with export.format=onnx")
except ValueError as refused:
    sys.exit(f"error: {refused}")
hints = {  # by itself OpenVINO computes in bfloat16 where the processor can, which changes the answers
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
}
core = openvino.Core()
graph = core.read_model(model)
size = input_size(contract)
count = count_of(contract)
softmaxes = [node.output(0) for node in graph.get_ops() if node.get_type_name() == "Softmax"]
readers = [one.get_node().get_type_name() for output in softmaxes for one in output.get_target_inputs()]
# One is faster than any number; but OpenVINO 2026.4 fuses attention wrongly for some shapes that it knows whole.
number = -1 if {*readers} - {"Result"} else 1
graph.reshape([number, count, *size] if contract["input"] == "float" else [number, *size, count])
network = core.compile_model(graph, "CPU", hints).create_infer_request()
for path in map(os.fsencode, options.pictures):
    image = network_input(Path(os.fsdecode(path)).read_bytes(), contract, options.max_pixels)
    scores = network.infer([np.ascontiguousarray(image[np.newaxis])]).to_tuple()[0][0].copy()
    scores = probabilities(scores, contract)
    if not np.isfinite(scores).all():
        sys.exit(f"error: the network's answer to {path} is no number")
    told = {"path": path.decode("utf-8", "surrogateescape"), **answer(scores, contract, options.topk)}
    line = json.dumps(told, ensure_ascii=False)
    os.write(1, f"{line}\n".encode("utf-8", "backslashreplace"))
