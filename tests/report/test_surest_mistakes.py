"""Which mistakes are shown, and what their pictures are."""

import io

import numpy as np
import paddle
import pytest
from PIL import Image

import imgcls
from imgcls.data.formats.samples import Samples
from imgcls.report.answers import Answers
from imgcls.report.mistakes import explained_mistakes, surest_mistakes
from imgcls.report.overlay import THUMBNAIL_SIDE, heat_overlay, jpeg


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture.convert("RGB"), np.int64)


def test_the_surest_come_first_and_what_is_no_number_last():
    scores = np.array([0.6, 0.9, 0.9, np.nan, 0.5, 0.99])
    probabilities = np.stack([scores, 1 - scores], axis=1)
    answers = Answers(np.arange(6), np.array([1, 1, 1, 1, 1, 0]), probabilities)
    assert surest_mistakes(answers, limit=9).tolist() == [1, 2, 0, 4, 3]
    assert surest_mistakes(answers, limit=2).tolist() == [1, 2]
    assert surest_mistakes(answers, limit=0).tolist() == []


def test_thumbnails_show_the_picture():
    ramp = np.linspace(0, 255, 300).astype(np.uint8)
    image = np.stack([np.tile(ramp, (150, 1)), np.full((150, 300), 90, np.uint8), np.tile(ramp[::-1], (150, 1))], 2)
    seen = opened(jpeg(image))
    assert seen.shape == (THUMBNAIL_SIDE // 2, THUMBNAIL_SIDE, 3)
    expected = np.asarray(Image.fromarray(image).resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE // 2)), np.int64)
    assert np.abs(seen - expected).mean() < 4
    assert opened(jpeg(image[:20, :20])).shape == (20, 20, 3)


def test_heat_colours_its_place_and_leaves_grey_elsewhere():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    heat = np.zeros((4, 6), np.float32)
    assert np.ptp(heat_overlay(image, heat), axis=2).max() == 0
    heat[0, 0] = 1
    overlay = heat_overlay(image, heat)
    assert overlay.shape == image.shape
    assert overlay.dtype == np.uint8
    colourful = np.ptp(overlay.astype(int), axis=2)
    assert colourful[:8, :8].min() > 40
    assert colourful[40:, 60:].max() == 0
    red, green, blue = overlay[:6, :6].reshape(-1, 3).mean(axis=0)
    assert red > 1.5 * max(green, blue)


@pytest.mark.parametrize("batch_size", [2, 4])
def test_every_mistake_has_its_own_picture(batch_size):
    """Pictures of one colour each, shown in the order of the answers whatever the batches are."""
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [90, 90, 90]], np.uint8)
    images = np.broadcast_to(colours[:, None, None], (4, 32, 32, 3)).copy()
    samples = Samples.of_classes("photos", [[b"red", b"green"], [b"blue", b"gr\xff"]], ("first", "second"))
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.7, 0.3]], np.float32)
    answers = Answers(np.arange(4), np.array([0, 0, 1, 1]), probabilities)
    network = imgcls.create_model("mobilenetv1_x0_25", num_classes=2)
    network.train()
    positions = surest_mistakes(answers, limit=4)
    batches = [paddle.to_tensor(images[positions[i : i + batch_size]]) for i in range(0, 4, batch_size)]
    shown = explained_mistakes(
        network, batches, lambda batch: batch.transpose([0, 3, 1, 2]) / 255.0, answers, positions, samples
    )
    assert [mistake.path for mistake in shown] == ["photos/green", "photos/blue", "photos/gr\\xff", "photos/red"]
    assert [mistake.predicted for mistake in shown] == [1, 0, 0, 1]
    assert [mistake.score for mistake in shown] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert [mistake.score_of_label for mistake in shown] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    for mistake, colour in zip(shown, colours[positions], strict=True):
        assert np.abs(opened(mistake.picture) - colour.astype(int)).max() < 6
        assert opened(mistake.overlay).shape == (32, 32, 3)
