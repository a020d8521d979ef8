"""AutoAugment and RandAugment: the original's policy, its chances, its place among the transforms."""

import json
from collections import Counter

import numpy as np
import pytest
from locations import REFERENCE
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.pictures import autoaugment, randaugment
from imgcls.data.pictures.autoaugment import IMAGENET, AutoAugment
from imgcls.data.pictures.operations import OPERATIONS, Operation
from imgcls.data.pictures.randaugment import CHOICES, RandAugment
from imgcls.errors import UserError

EXPECTED = json.loads((REFERENCE / "augment.json").read_text())
POLICIES = [AutoAugment("imagenet"), RandAugment(2, 9)]
DRAWS = 6000


def photo(height: int = 20, width: int = 24, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def applied(monkeypatch):
    """Every operation notes its name and amount, and is done as well."""
    notes: list[tuple[str, float]] = []

    def noting(name: str, operation: Operation) -> Operation:
        def apply(image, amount):
            notes.append((name, amount))
            return operation.apply(image, amount)

        return operation._replace(apply=apply)

    noted = {name: noting(name, operation) for name, operation in OPERATIONS.items()}
    monkeypatch.setattr(autoaugment, "OPERATIONS", noted)
    monkeypatch.setattr(randaugment, "OPERATIONS", noted)
    return notes


def test_the_policy_is_the_original_one():
    policy = EXPECTED["autoaugment"]["policies"][EXPECTED["autoaugment"]["policy_used"]]
    assert [[list(operation) for operation in pair] for pair in IMAGENET] == policy


def test_pairs_probabilities_and_signs(applied):
    """Over many pictures, each pair, operation and sign as often as it should be."""
    policy, image, rng = AutoAugment("imagenet"), photo(4, 4), np.random.default_rng(0)
    pairs: Counter = Counter()
    for _ in range(DRAWS):
        applied.clear()
        policy(image, rng)
        pairs[tuple((name, round(abs(amount), 6)) for name, amount in applied)] += 1

    expected: Counter = Counter()
    magnitudes = EXPECTED["autoaugment"]["magnitudes"]
    for pair in EXPECTED["autoaugment"]["policies"]["ImageNet"]:
        for doing in np.ndindex(2, 2):
            chance, done = 1 / 25, []
            for (name, probability, level), does in zip(pair, doing, strict=True):
                chance *= probability if does else 1 - probability
                if does:
                    exact = OPERATIONS[name].amount(level / 9)
                    assert exact == pytest.approx(magnitudes[name][level], abs=0.5 if name == "posterize" else 1e-8)
                    done.append((name, round(exact, 6)))
            expected[tuple(done)] += chance
    expected = {done: chance for done, chance in expected.items() if chance > 0}
    assert set(pairs) == set(expected)
    for done, chance in expected.items():
        assert pairs[done] / DRAWS == pytest.approx(chance, abs=4 * np.sqrt(chance / DRAWS)), done


def test_each_sign_is_as_likely_and_rotation_has_one(applied):
    policy, image, rng = AutoAugment("imagenet"), photo(4, 4), np.random.default_rng(1)
    for _ in range(DRAWS):
        policy(image, rng)
    for name in ("color", "contrast", "sharpness", "shearX"):
        amounts = np.array([amount for other, amount in applied if other == name and amount])
        assert np.mean(amounts > 0) == pytest.approx(0.5, abs=2 / np.sqrt(len(amounts))), name
    assert min(amount for name, amount in applied if name == "rotate") > 0


def test_randaugment_draws_each_operation_alike(applied):
    policy, image, rng = RandAugment(3, 5), photo(4, 4), np.random.default_rng(0)
    for _ in range(1400):
        policy(image, rng)
    assert len(applied) == 3 * 1400
    counts = Counter(name for name, _ in applied)
    assert set(counts) == set(CHOICES) == set(OPERATIONS) - {"invert"}
    assert all(count == pytest.approx(300, abs=75) for count in counts.values())
    amounts = {name: {round(amount, 6) for other, amount in applied if other == name} for name in counts}
    assert amounts["rotate"] == {15, -15}
    assert amounts["shearX"] == {0.15, -0.15}
    assert amounts["brightness"] == {0.45, -0.45}
    assert amounts["posterize"] == {6}
    assert amounts["solarize"] == {128}


def test_a_magnitude_of_zero_leaves_all_but_the_histogram(applied):
    policy, array = RandAugment(1, 0), np.asarray(photo())
    for seed in range(80):
        applied.clear()
        result = np.asarray(policy(photo(), np.random.default_rng(seed)))
        if applied[0][0] not in ("autocontrast", "equalize"):
            assert (result == array).all(), applied


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_the_generator_decides_everything(policy):
    results = [np.asarray(policy(photo(), np.random.default_rng(seed))) for seed in [*range(30), *range(30)]]
    for first, again in zip(results[:30], results[30:], strict=True):
        assert (first == again).all()
    assert len({result.tobytes() for result in results}) > 15
    assert {result.shape for result in results} == {(20, 24, 3)}


def test_place_among_the_transforms():
    """After the flip, on the finished uint8 RGB picture, with the numbers drawn last."""
    order = EXPECTED["train_order"]
    flip = next(place for place, step in enumerate(order) if step.startswith("horizontal flip"))
    policy = next(place for place, step in enumerate(order) if step.startswith("AutoAugment"))
    assert flip < policy < next(place for place, step in enumerate(order) if step.startswith("to float32"))
    for options, last in (
        ({"autoaugment": "imagenet"}, AutoAugment("imagenet")),
        ({"randaugment": (2, 9)}, RandAugment(2, 9)),
    ):
        whole = train_transform(16, rotation=5, color_jitter=(0.1, 0.1, 0.1, 0.1), **options)
        kinds = [type(transform).__name__ for transform in whole.transforms]
        assert kinds == ["RandomRotation", "RandomCropResize", "ColorJitter", "HorizontalFlip", type(last).__name__]
        for seed in range(20):
            rng = np.random.default_rng(seed)
            before = train_transform(16, rotation=5, color_jitter=(0.1, 0.1, 0.1, 0.1))(photo(), rng)
            expected = np.asarray(last(Image.fromarray(before), rng))
            result = whole(photo(), np.random.default_rng(seed))
            assert (result == expected).all()
            assert (result.dtype, result.flags.c_contiguous) == (np.uint8, True)


def test_off_is_off():
    off = train_transform(16, autoaugment=None, randaugment=(0, 9))
    assert [type(transform).__name__ for transform in off.transforms] == ["RandomCropResize", "HorizontalFlip"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"autoaugment": "imagnet"}, "no AutoAugment policy 'imagnet'. Did you mean 'imagenet'"),
        ({"randaugment": (-1, 5)}, "num_layers is -1; it must be 1 or more"),
        ({"randaugment": (2, 11)}, "magnitude is 11; it must be between 0 and 10"),
    ],
)
def test_values_outside_their_range(options, message):
    with pytest.raises(UserError, match=message):
        train_transform(16, **options)
