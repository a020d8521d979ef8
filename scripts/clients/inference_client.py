"""Say what is in pictures with an exported model under paddle.inference, without imgcls; a line of JSON for each."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import yaml
from paddle.inference import Config, create_predictor
from PIL import Image, ImageOps

FILTERS = {"nearest": "NEAREST", "linear": "BILINEAR", "cubic": "BICUBIC", "area": "BOX", "lanczos": "LANCZOS"}


def read_picture(path, contract):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image.convert("RGB"), mask=image.convert("RGBA").getchannel("A"))
    size, scale = contract["image_size"], contract["resize_size"] / min(canvas.size)
    width, height = round(canvas.width * scale), round(canvas.height * scale)
    left, top, across, down = (width - size) // 2, (height - size) // 2, canvas.width / width, canvas.height / height
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    return np.asarray(canvas.resize((size, size), Image.Resampling[FILTERS[contract["interpolation"]]], box=box))


def network_input(images, contract):
    if contract["input"] == "uint8":
        return images
    mean, std = np.array(contract["mean"]), np.array(contract["std"])
    images = images.astype(np.float32) * np.float32(1 / (255 * std)) + np.float32(-mean / std)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("directory", type=Path, help="of the export")
parser.add_argument("pictures", nargs="+")
parser.add_argument("--topk", type=int, default=5)
options = parser.parse_args()
contract = yaml.safe_load((options.directory / "inference.yaml").read_text(encoding="utf-8"))
config = Config(*(str(options.directory / f"inference.{part}") for part in ("pdmodel", "pdiparams")))
config.disable_glog_info()
config.set_cpu_math_library_num_threads(len(os.sched_getaffinity(0)))
config.delete_pass("batch_norm_act_fuse_pass")  # of oneDNN, which is on by default; it fails in DARTS
network = create_predictor(config)
for path in options.pictures:
    images = network_input(read_picture(path, contract)[np.newaxis], contract)
    network.get_input_handle("images").copy_from_cpu(images)
    network.run()
    scores = network.get_output_handle(network.get_output_names()[0]).copy_to_cpu()[0]
    if contract["output"] == "logits":
        scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    top = [int(number) for number in np.argsort(-scores, kind="stable")[: options.topk]]
    answers = [{"class": c, "name": contract["class_names"][c], "score": float(scores[c])} for c in top]
    print(json.dumps({"path": path, "top": answers}))
