"""Make the bundled SqueezeNet1_1 weights from those its authors published for Caffe.

    python scripts/convert_squeezenet.py squeezenet1_1_caffe.npz

The Caffe network takes BGR images, 0 to 255, minus a mean. Channel order, scale and mean go into
the first convolution, so that the network takes what every model of this library takes: RGB,
normalised by the ImageNet mean and deviation. Stored as float16, under fluid variable names.
"""

import sys
from pathlib import Path

import numpy as np

from imgcls.models.registry import IMAGENET_MEAN, IMAGENET_STD

OUTPUT = Path(__file__).parents[1] / "imgcls" / "assets" / "weights" / "squeezenet1_1.npz"
CAFFE_MEAN_RGB = np.array([123.68, 116.779, 103.939])


def fold_input(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First convolution for normalised RGB instead of BGR grey levels minus the Caffe mean.

    With ``pixel = 255 * (std * x + mean)``, a kernel ``w`` on ``pixel - caffe_mean`` equals a kernel
    ``255 * std * w`` on ``x`` and a constant. Exact except at the padded border, where zero now
    stands for a slightly different colour.
    """
    rgb = weight[:, ::-1].astype(np.float64)
    offset = 255 * np.array(IMAGENET_MEAN) - CAFFE_MEAN_RGB
    scale = 255 * np.array(IMAGENET_STD)
    return rgb * scale[:, None, None], bias + np.einsum("oihw,i->o", rgb, offset)


def fluid_name(caffe_name: str) -> str:
    """``fire2/squeeze1x1/weight`` is ``fire2_squeeze1x1_weights``, biases end in ``_offset``."""
    *layer, kind = caffe_name.split("/")
    return "_".join(layer) + {"weight": "_weights", "bias": "_offset"}[kind]


def main(source: str) -> None:
    with np.load(source, allow_pickle=False) as archive:
        arrays = dict(archive)
    arrays["conv1/weight"], arrays["conv1/bias"] = fold_input(arrays["conv1/weight"], arrays["conv1/bias"])
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUTPUT, **{fluid_name(name): array.astype(np.float16) for name, array in arrays.items()})
    print(f"{OUTPUT}: {len(arrays)} tensors, {OUTPUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} squeezenet1_1_caffe.npz")
    main(sys.argv[1])
