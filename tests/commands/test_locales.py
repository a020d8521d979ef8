"""A run trained under one locale and used under another, with names in scripts that neither has."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest
from locales import in_locale
from locations import ROOT
from tiny_run import SMALLEST

from imgcls.data.formats.build import SAMPLE_PHOTOS

CLASSES = ("猫", "犬 🐕", "кот")
TINY = (
    *(*SMALLEST, "transform.size=32", "trainer.batch_size=6", "trainer.epochs=1", "trainer.gpus=0"),
    *("trainer.num_workers=0", "data=folder", "data.root='我的照片'", "data.on_error=skip"),
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A data set with names of all kinds, a broken picture among them."""
    directory = tmp_path_factory.mktemp("locales")
    photos = sorted(SAMPLE_PHOTOS.glob("val/*/*.jpg"))
    for split, start in (("train", 0), ("val", 9)):
        for label, name in enumerate(CLASSES):
            folder = directory / "我的照片" / split / name
            folder.mkdir(parents=True)
            for number, photo in enumerate(photos[start + 3 * label : start + 3 * label + 3]):
                shutil.copy(photo, folder / f"照片 ({number}).jpg")
    (directory / "我的照片" / "val" / "猫" / "坏.jpg").write_bytes(b"no picture")
    return directory


@pytest.fixture
def run(directory):
    def run(program: str, *arguments: str, **variables: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", f"imgcls.{program}", *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            capture_output=True,
        )
        output = (result.stdout + result.stderr).decode("utf-8")
        assert result.returncode == 0, output
        return output

    return run


def test_trained_under_one_locale_and_evaluated_under_another(run, directory):
    first, second = "zh_CN.GBK", "en_US.ISO-8859-1"
    name = f"宠物-{first}"
    run("train", *TINY, f"run.name='{name}'", **in_locale(first))
    outputs = directory / "outputs"
    assert (outputs / name / "classes.txt").read_text(encoding="utf-8").splitlines() == sorted(CLASSES)
    texts = [path for path in (outputs / name).rglob("*") if path.suffix in (".txt", ".yaml", ".json", ".log", ".csv")]
    assert len(texts) > 5
    contents = {path.name: path.read_bytes().decode("utf-8") for path in texts}
    assert "我的照片" in contents["config.yaml"]
    assert f"{name}/curves.png" in contents["train.log"]

    told = run(
        "eval", f"eval.source='outputs/{name}'", f"run.name=judged-{first}", "data.on_error=skip", **in_locale(second)
    )
    assert "left out: 我的照片/val/猫/坏.jpg is not an image" in told
    with (outputs / f"judged-{first}" / "per_image.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == set(CLASSES)
    assert all((directory / row["path"]).is_file() for row in rows)
    summary = (outputs / f"judged-{first}" / "summary.json").read_text(encoding="utf-8")
    assert "我的照片" in summary
    assert json.loads(summary)["pictures"] == 9
