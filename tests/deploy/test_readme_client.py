"""The client in README.md gives what ``imgcls.predict`` gives, for photos as cameras make them."""

import io
import json
import os
import re
from contextlib import redirect_stdout

import pytest
from locations import ROOT
from PIL import Image

BLOCK = re.compile(r"```python\n(import numpy as np, paddle, yaml\n.*?)```", re.DOTALL)
KINDS = ("large turned.jpg", "twelve megapixels.jpg", "cmyk.jpg", "alpha.png", "palette.gif")


@pytest.fixture(scope="module")
def client():
    return compile(BLOCK.search((ROOT / "README.md").read_text(encoding="utf-8"))[1], "README.md", "exec")


@pytest.fixture(scope="module")
def album(photos, tmp_path_factory):
    """Pictures of several kinds, and a photo whose sides are odd in all ways that a camera can be held."""
    root = tmp_path_factory.mktemp("album")
    for name in KINDS:
        os.link(photos / name, root / name)
    photo = Image.open(photos / "plain.jpg").resize((1807, 1203))
    for orientation in (3, 5, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        photo.save(root / f"orientation {orientation}.jpg", exif=exif)
    return root


def test_the_same_answers_to_the_bit(client, album, exports, run_program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served").symlink_to(exports["uint8"])
    run_program(
        "predict",
        "predict.source=served",
        "predict.engine=jit",
        f"predict.input={album}",
        "predict.topk=1",
        "predict.batch_size=1",
        "run.name=told",
        cwd=tmp_path,
    )
    predicted = [json.loads(line) for line in (tmp_path / "outputs" / "told" / "predictions.jsonl").open()]
    assert len(predicted) == len(KINDS) + 4
    photo = tmp_path / "photo.jpg"
    for record in predicted:
        photo.unlink(missing_ok=True)
        photo.symlink_to(record["path"])
        with redirect_stdout(io.StringIO()) as said:
            exec(client, {})
        name, _, score = said.getvalue().strip().rpartition(" ")
        (best,) = record["top"]
        assert (name, float(score)) == (best["name"], pytest.approx(best["score"], abs=1e-6)), record["path"]
