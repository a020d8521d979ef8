"""What it changes whose pixels a network is shown: SqueezeNet 1.1 and the 36 bundled validation photos; docs/pixels.md.

python scripts/compare_pixels.py
"""

from dataclasses import replace

import numpy as np

import imgcls
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.agreement import bundled_photos
from imgcls.deploy.predictor import NetworkPredictor

MODEL = "squeezenet1_1"
CASES = [
    *(("linear", 224), ("cubic", 224), ("lanczos", 224), ("area", 224), ("nearest", 224)),
    *(("linear", 96), ("cubic", 96), ("area", 96)),
]


def main() -> None:
    network = imgcls.create_model(MODEL, pretrained=True)
    network.eval()
    print("| interpolation | pixel values | logits | their deviation | scores | another best class |")
    print("|---|---|---|---|---|---|")
    for interpolation, size in CASES:
        seen = replace(Preprocessing.of_model(imgcls.model_info(MODEL), size), interpolation=interpolation)
        images, logits, scores = [], [], []
        for resampling in ("pillow", "opencv"):
            seen = replace(seen, resampling=resampling)
            predictor = NetworkPredictor(network, seen)
            images.append(bundled_photos(seen).astype(float))
            logits.append(predictor.logits(images[-1].astype(np.uint8)))
            scores.append(predictor.probabilities(images[-1].astype(np.uint8)))
        others = int((logits[0].argmax(1) != logits[1].argmax(1)).sum())
        differences = [np.abs(first - second) for first, second in (images, logits, scores)]
        figures = [f"{each.mean():.2g}, {each.max():.2g}" for each in differences[:2]]
        best = np.abs(scores[0].max(1) - scores[1].max(1))
        print(
            f"| `{interpolation}`, {size} px | {figures[0]} | {figures[1]} | {logits[0].std():.1f} | "
            f"{best.mean():.2g}, {best.max():.2g} | {others} of {len(logits[0])} |"
        )


if __name__ == "__main__":
    main()
