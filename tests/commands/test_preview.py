"""``python -m imgcls.preview``: the sheet shows what the data set and the callbacks make."""

import numpy as np
import pytest
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.formats.build import build_samples
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.transforms import eval_transform
from imgcls.report.contact_sheet import GAP

SIZE, SEED = 224, 3
ARGUMENTS = ("run.name=sheet", f"trainer.seed={SEED}", "trainer.batch_size=8")


def tile(directory, number: int = 0, columns: int = 2, lines: int = 1) -> np.ndarray:
    with Image.open(directory / "outputs" / "sheet" / "preview.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        left = GAP + number % columns * (SIZE + GAP)
        top = GAP + number // columns * (SIZE + 18 * lines + GAP)
        return np.asarray(image.crop((left, top, left + SIZE, top + SIZE))).astype(int)


def first_of_the_epoch(epoch: int, count: int = 4, **transform) -> list[np.ndarray]:
    samples = build_samples("sample", split="train")
    dataset = ImageDataset(samples, train_transform(SIZE, **transform), seed=SEED)
    sampler = EpochSampler(len(samples), 8, shuffle=True, seed=SEED)
    sampler.set_position(epoch)
    return [dataset[key][0].astype(int) for key in next(iter(sampler))[:count]]


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        ([], {}),
        (["transform=autoaugment"], {"autoaugment": "imagenet"}),
        (["transform=randaugment", "transform.randaugment.magnitude=9"], {"randaugment": (2, 9)}),
    ],
)
def test_tiles_are_the_samples_of_the_data_set(overrides, options, run_program, tmp_path):
    result = run_program("preview", *ARGUMENTS, "preview.epoch=2", "preview.count=4", *overrides, cwd=tmp_path)
    assert "4 train pictures: " in result.stderr
    for number, expected in enumerate(first_of_the_epoch(1, **options)):
        assert (tile(tmp_path, number) == expected).all()


def test_after_mixing_a_tile_has_two_pictures(run_program, tmp_path):
    mixing = ["callbacks.mixup.enabled=true", "callbacks.mixup.alpha=1"]
    run_program("preview", *ARGUMENTS, "preview.count=4", *mixing, cwd=tmp_path)
    shown = tile(tmp_path, lines=2)
    own, *others = first_of_the_epoch(0, count=8)

    def distance_to_a_blend(other: np.ndarray) -> float:
        difference = (own - other).ravel()
        share = (shown - other).ravel() @ difference / (difference @ difference)
        return np.abs(shown - (share * own + (1 - share) * other)).max()

    distances = [distance_to_a_blend(other) for other in others]
    assert min(distances) <= 1
    assert sorted(distances)[1] > 10
    stopped = [*mixing, "callbacks.mixup.stop_epoch=1"]
    run_program("preview", *ARGUMENTS, "preview.count=4", *stopped, cwd=tmp_path)
    assert (tile(tmp_path) == own).all()


def test_validation_pictures_are_spread_over_the_classes_and_never_changed(run_program, tmp_path):
    overrides = ["preview.split=val", "preview.count=4", "callbacks.mixup.enabled=true", "transform=autoaugment"]
    run_program("preview", *ARGUMENTS, *overrides, cwd=tmp_path)
    samples = build_samples("sample", split="val")
    dataset = ImageDataset(samples, eval_transform(SIZE, 256))
    assert len(samples) == 36
    for number, index in enumerate([0, 11, 23, 35]):
        assert (tile(tmp_path, number) == dataset[index][0]).all()


def test_mistakes_are_named_together_and_nothing_is_written(ask, tmp_path):
    arguments = ["preview.split=test", "preview.count=0", "callbacks.cutmix.switch_prob=2"]
    result = ask("preview", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    for message in ("preview.split=test: must be one of", "preview.count=0: must be", "switch_prob=2.0: must be"):
        assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
