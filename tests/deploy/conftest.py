"""Exports, photos and a run that the tests of deployment share, made once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgcls
from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.formats.class_names import default_class_names


@pytest.fixture(scope="session")
def squeezenet():
    """SqueezeNet 1.1 with its bundled weights."""
    return imgcls.create_model("squeezenet1_1", pretrained=True)


@pytest.fixture(scope="session")
def contract_for():
    """What an export of a network for ImageNet promises; any value can be given."""
    from imgcls.data.pictures.preprocessing import Preprocessing
    from imgcls.deploy.contract import Contract

    def make(input: str = "float", **values) -> Contract:
        defaults = {
            "model": "squeezenet1_1",
            "preprocessing": Preprocessing.of_model(imgcls.model_info("squeezenet1_1")),
            "output": {"float": "logits", "uint8": "probabilities"}[input],
            "class_names": default_class_names(1000),
        }
        return Contract(input=input, **{**defaults, **values})

    return make


@pytest.fixture(scope="session")
def images(contract_for) -> np.ndarray:
    """Four bundled photos, uint8 ``[4, 224, 224, 3]``."""
    from imgcls.deploy.exporter import check_photos

    return check_photos(contract_for())


@pytest.fixture(scope="session")
def exports(squeezenet, contract_for, images, tmp_path_factory) -> dict[str, Path]:
    """An export directory for each kind of input."""
    from imgcls.deploy.exporter import export

    root = tmp_path_factory.mktemp("exports")
    for kind in ("float", "uint8"):
        export(squeezenet, contract_for(kind), root / kind, images)
    return {kind: root / kind for kind in ("float", "uint8")}


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A directory of pictures of every kind that a client must read as this library does."""
    root = tmp_path_factory.mktemp("photos")
    photo = Image.open(SAMPLE_PHOTOS / "val" / "land_animal" / "tabby_cat.jpg").convert("RGB")
    photo.thumbnail((400, 300))
    photo.save(root / "plain.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(root / "turned.jpg", exif=turned)
    large = photo.resize((1805, 1203))
    large.save(root / "large.jpg")  # which its decoder shrinks by 4
    large.save(root / "large turned.jpg", exif=turned, progressive=True)
    photo.resize((2304, 3000)).save(root / "twelve megapixels.jpg")
    photo.convert("CMYK").save(root / "cmyk.jpg")
    photo.convert("L").save(root / "grey.png")
    see_through = photo.copy()
    see_through.putalpha(Image.linear_gradient("L").resize(photo.size))
    see_through.save(root / "alpha.png")
    photo.convert("P").save(root / "palette.gif", transparency=3)
    Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257).save(root / "sixteen bits.png")
    photo.resize((300, 40)).save(root / "wide.webp", lossless=True)
    return root


@pytest.fixture(scope="session")
def run_directory(run_program, tmp_path_factory) -> Path:
    """A run of one update on the bundled photos, with averaged weights."""
    root = tmp_path_factory.mktemp("runs")
    run_program("train", "debug=fast", "run.name=tiny", "callbacks.ema.enabled=true", cwd=root)
    return root / "outputs" / "tiny"
