"""Say what is in pictures with an exported model under paddle.inference, without imgcls; a line of JSON for each."""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from paddle.inference import Config, create_predictor
from PIL import Image, ImageOps

sys.path.append(str(Path(__file__).with_name("service")))
from operators import check_model
from plain_yaml import read

FILTERS = {"nearest": "NEAREST", "linear": "BILINEAR", "cubic": "BICUBIC", "area": "BOX", "lanczos": "LANCZOS"}


def read_picture(path, contract):
    image, size, shrink = Image.open(path), contract["image_size"], 1
    whole, scale = image.size, contract["resize_size"] / min(image.size)
    if image.format in ("JPEG", "MPO"):  # the decoder shrinks a large one, as long as there are pixels enough
        factors = (n for n in contract["jpeg_reductions"] if all(side >= n * round(side * scale) for side in whole))
        shrink = next(factors, 1)
        image.draft(None, (image.width // shrink, image.height // shrink))
    turned, image = image.getexif().get(274) in (5, 6, 7, 8), ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    white, opacity = Image.new("RGB", image.size, "white"), image.convert("RGBA").getchannel("A")
    canvas = Image.composite(image.convert("RGB"), white, opacity)
    width, height = canvas.size if shrink == 1 else whole[::-1] if turned else whole
    wide, high = round(width * scale), round(height * scale)
    (across, down), (left, top) = (width / wide, height / high), ((wide - size) // 2, (high - size) // 2)
    if cv2:  # resizes all of it, as the original did; FILTERS are in the order of its numbers
        canvas = cv2.resize(np.asarray(canvas), (wide, high), None, 0, 0, [*FILTERS].index(contract["interpolation"]))
        return canvas[top : top + size, left : left + size]
    box = [edge / shrink for edge in (left * across, top * down, (left + size) * across, (top + size) * down)]
    return np.asarray(canvas.resize((size, size), Image.Resampling[FILTERS[contract["interpolation"]]], box=box))


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("directory", type=Path, help="of the export")
parser.add_argument("pictures", nargs="+")
parser.add_argument("--topk", type=int, default=5)
options = parser.parse_args()
try:
    contract = read(options.directory / "inference.yaml")
    check_model(options.directory)  # an operator can write files as well
    cv2 = __import__("cv2") if contract.get("resampling") == "opencv" else None  # of opencv-python-headless
except (ValueError, ImportError) as refused:
    sys.exit(f"error: {refused}")
mean, std = np.array(contract["mean"]), np.array(contract["std"])
config = Config(*(str(options.directory / f"inference.{part}") for part in ("pdmodel", "pdiparams")))
config.disable_glog_info()
config.set_cpu_math_library_num_threads(len(os.sched_getaffinity(0)))
config.delete_pass("batch_norm_act_fuse_pass")  # of oneDNN, which is on by default; it fails in DARTS
network = create_predictor(config)
for path in map(os.fsencode, options.pictures):
    image = read_picture(path, contract)
    if contract["input"] == "float":
        image = (image.astype(np.float32) * np.float32(1 / (255 * std)) + np.float32(-mean / std)).transpose(2, 0, 1)
    network.get_input_handle("images").copy_from_cpu(np.ascontiguousarray(image[np.newaxis]))
    network.run()
    scores = network.get_output_handle(network.get_output_names()[0]).copy_to_cpu()[0]
    if contract["output"] == "logits":
        scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    if not np.isfinite(scores).all():
        sys.exit(f"error: the network's answer to {path} is no number")
    top = [int(number) for number in np.argsort(-scores, kind="stable")[: options.topk]]
    answers = [{"class": c, "name": contract["class_names"][c], "score": float(scores[c])} for c in top]
    line = json.dumps({"path": path.decode("utf-8", "surrogateescape"), "top": answers}, ensure_ascii=False)
    os.write(1, f"{line}\n".encode("utf-8", "backslashreplace"))
