"""Say what is in pictures with an exported model under paddle.inference, without imgcls; a line of JSON for each."""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

# ruff: noqa: E402 (the filter must be there before Paddle is imported)
warnings.filterwarnings("ignore", "No ccache")  # Paddle 3 looks for one at every import

import numpy as np
import paddle
from paddle.inference import Config, create_predictor
from PIL import Image, ImageOps

sys.path.append(str(Path(__file__).with_name("service")))
from answers import answer, probabilities
from channels import are_usual
from fitting import fit, shrink_factor
from operators import check_model, check_reader, model_file
from pictures import pixels_of
from plain_yaml import read

MAX_PIXELS = 178_956_970


def read_picture(path, contract):
    if not are_usual(contract):  # of other channels, or 16 bits
        return pixels_of(Path(os.fsdecode(path)).read_bytes(), contract, MAX_PIXELS)
    image, shrink = Image.open(path), 1
    turned = image.getexif().get(274) in (5, 6, 7, 8)
    width, height = image.size[::-1] if turned else image.size
    if image.format in ("JPEG", "MPO"):  # the decoder shrinks a large one, as long as there are pixels enough
        shrink = shrink_factor(contract, width, height)
        image.draft(None, (image.width // shrink, image.height // shrink))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    white, opacity = Image.new("RGB", image.size, "white"), image.convert("RGBA").getchannel("A")
    canvas = Image.composite(image.convert("RGB"), white, opacity)
    return fit(canvas, contract, *(canvas.size if shrink == 1 else (width, height)), shrink)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("directory", type=Path, help="of the export")
parser.add_argument("pictures", nargs="+")
parser.add_argument("--topk", type=int, default=5)
options = parser.parse_args()
try:
    contract = read(options.directory / "inference.yaml")
    check_model(options.directory)  # an operator can write files as well
    check_reader(options.directory, paddle.__version__)  # which would end on a program that is not its own
    if contract.get("resampling") == "opencv":
        import cv2  # noqa: F401  of opencv-python-headless
except (ValueError, ImportError) as refused:
    sys.exit(f"error: {refused}")
mean, std = np.array(contract["mean"]), np.array(contract["std"])
config = Config(str(model_file(options.directory)), str(options.directory / "inference.pdiparams"))
config.disable_glog_info()
config.set_cpu_math_library_num_threads(len(os.sched_getaffinity(0)))
for name in ("batch_norm_act_fuse_pass", "matmul_add_act_fuse_pass", "matmul_elementwise_add_mkldnn_fuse_pass"):
    config.delete_pass(name)  # beside oneDNN they fail in DARTS and Swin, or make Swin nine times slower
answers_to = os.dup(1)
os.dup2(2, 1)  # where Paddle 3 prints what it is at
network = create_predictor(config)
for path in map(os.fsencode, options.pictures):
    image = read_picture(path, contract)
    if contract["input"] == "float":
        image = (image.astype(np.float32) * np.float32(1 / (255 * std)) + np.float32(-mean / std)).transpose(2, 0, 1)
    network.get_input_handle("images").copy_from_cpu(np.ascontiguousarray(image[np.newaxis]))
    network.run()
    scores = network.get_output_handle(network.get_output_names()[0]).copy_to_cpu()[0]
    scores = probabilities(scores, contract)
    if not np.isfinite(scores).all():
        sys.exit(f"error: the network's answer to {path} is no number")
    told = {"path": path.decode("utf-8", "surrogateescape"), **answer(scores, contract, options.topk)}
    line = json.dumps(told, ensure_ascii=False)
    os.write(answers_to, f"{line}\n".encode("utf-8", "backslashreplace"))
