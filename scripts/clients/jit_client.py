"""Say what is in pictures with an exported model under paddle.jit.load, without imgcls; a line of JSON for each."""

import argparse
import json
import os
from pathlib import Path

# ruff: noqa: E402 (what follows must be set before Paddle is imported)
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads"):
    os.environ.setdefault(variable, str(len(os.sched_getaffinity(0))))
if Path("/proc/cpuinfo").exists() and "AuthenticAMD" in Path("/proc/cpuinfo").read_text():
    os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")  # MKL's fast path, which it keeps from AMD

import numpy as np
import paddle
import yaml
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
network = paddle.jit.load(str(options.directory / "inference"))
for path in options.pictures:
    images = network_input(read_picture(path, contract)[np.newaxis], contract)
    scores = network(paddle.to_tensor(images)).numpy()[0]
    if contract["output"] == "logits":
        scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    top = [int(number) for number in np.argsort(-scores, kind="stable")[: options.topk]]
    answers = [{"class": c, "name": contract["class_names"][c], "score": float(scores[c])} for c in top]
    print(json.dumps({"path": path, "top": answers}))
