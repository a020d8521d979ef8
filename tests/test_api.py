"""The library from Python, as in a notebook: train, load, ask; mistakes as messages."""

import importlib
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from locations import ROOT
from PIL import Image

import imgcls
from imgcls.app.composition import composed
from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.deploy.image_predictor import Answer, Prediction

TINY = {"epochs": 1, "batch_size": 8, "max_steps": 1, "num_workers": 0}
PHOTOS = sorted(map(str, SAMPLE_PHOTOS.glob("val/*/*.jpg")))[::12]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one update, under a name in Chinese with a blank."""
    root = tmp_path_factory.mktemp("runs")
    return imgcls.train(
        run="宠物 1", data={"name": "sample"}, trainer=TINY, transform={"size": 64}, **{"run.root": str(root)}
    )


@pytest.fixture(scope="module")
def predictor(run):
    return imgcls.load_predictor(run.path)


def test_importing_the_package_leaves_paddle_alone():
    code = "import sys, imgcls; assert imgcls.list_models('resnet18'); sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_programs_module_does_not_hide_the_function():
    assert importlib.import_module("imgcls.train").main is not None
    assert imgcls.train is imgcls.api.train


def test_training_leaves_a_run_like_the_commands(run):
    assert run.path.name == "宠物 1"
    assert (run.path / "checkpoints" / "best" / "network.pdparams").is_file()
    assert run.metrics["epoch"] == 1
    assert 0 <= run.metrics["top1"] <= 1


def test_one_and_many_of_every_kind(predictor):
    one = predictor.predict(PHOTOS[0], topk=2)
    assert isinstance(one, Prediction)
    assert one.path == PHOTOS[0]
    assert len(one.top) == 2
    assert one.top[0] == Answer(one.label, one.name, one.score)
    assert one.name == predictor.class_names[one.label]
    image = Image.open(PHOTOS[0])
    image.draft(None, (1, 1))  # not the decoder's own shrinking
    many = predictor.predict([PHOTOS[0], Path(PHOTOS[1]), Image.open(PHOTOS[1]), np.asarray(Image.open(PHOTOS[2]))])
    assert [type(each) for each in many] == [Prediction] * 4
    assert many[0].score == pytest.approx(one.score, abs=1e-6)
    assert many[2].path is None
    assert predictor.predict(np.zeros((2, 90, 70, 3), np.uint8))[1].path is None
    assert predictor.predict([]) == []


def test_a_directory_stands_for_its_images(predictor):
    found = predictor.predict(SAMPLE_PHOTOS / "val" / "fish")
    assert len(found) == len(list((SAMPLE_PHOTOS / "val" / "fish").glob("*.jpg")))


def test_a_turned_photo_is_the_same_from_path_and_from_pil(predictor, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(PHOTOS[0]).convert("RGB").resize((80, 60)).save(tmp_path / "photo (1).jpg", exif=turned)
    by_path = predictor.features(tmp_path / "photo (1).jpg")
    assert by_path.shape == (512,)
    assert np.array_equal(by_path, predictor.features(Image.open(tmp_path / "photo (1).jpg")))


def test_the_commands_answers(predictor, run, run_program, tmp_path):
    run_program("predict", f"predict.source='{run.path}'", f"predict.input='{PHOTOS[1]}'", "run.name=p", cwd=tmp_path)
    line = (tmp_path / "outputs" / "p" / "predictions.jsonl").read_text(encoding="utf-8")
    answer, best = json.loads(line)["top"][0], predictor.predict(PHOTOS[1])
    assert (answer["class"], answer["name"]) == (best.label, best.name)
    assert answer["score"] == pytest.approx(best.score, abs=1e-6)  # one thread rounds otherwise than two


def test_an_export_answers_as_its_network(predictor, run, run_program, tmp_path):
    run_program("export", f"export.source='{run.path}'", f"export.dir={tmp_path / 'served'}", cwd=tmp_path)
    served = imgcls.load_predictor(tmp_path / "served")
    assert served.class_names == predictor.class_names
    assert served.preprocessing == predictor.preprocessing == imgcls.preprocessing(tmp_path / "served")
    for here, there in zip(served.predict(PHOTOS), predictor.predict(PHOTOS), strict=True):
        assert here.label == there.label
        assert here.score == pytest.approx(there.score, abs=1e-4)


def test_how_a_network_sees_an_image_from_run_and_name(run):
    assert (imgcls.preprocessing(run.path).size, imgcls.preprocessing(run.path).resize_size) == (64, 73)
    assert imgcls.preprocessing("Xception41").size == 299


def test_a_models_published_weights():
    assert imgcls.load_predictor("SqueezeNet1_1").predict(PHOTOS[0]).name.startswith("goldfish")


def test_a_file_of_weights_needs_its_architecture(run):
    file = run.path / "checkpoints" / "best" / "network.pdparams"
    with pytest.raises(imgcls.UserError, match="name the network they are for"):
        imgcls.load_predictor(file)
    named = imgcls.load_predictor(file, model="squeezenet1_1", class_names="abcde")
    assert named.predict(PHOTOS[0]).name in "abcde"
    with pytest.raises(imgcls.UserError, match="give class_names"):
        imgcls.load_predictor(file, model="squeezenet1_1")


def test_a_network_from_a_run_has_its_classes(run, caplog):
    assert imgcls.create_model("squeezenet1_1", pretrained=run.path).head.weight.shape[0] == 5
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_another_class_count_is_not_silent(run, caplog):
    assert imgcls.create_model("squeezenet1_1", num_classes=7, pretrained=run.path).head.weight.shape[0] == 7
    assert "re-initialised" in next(record for record in caplog.records if record.levelname == "WARNING").message


def own_loss(logits, labels, scale):
    return scale * (logits**2).mean()


def test_own_objects_and_paths(tmp_path):
    """What a notebook has: a callback's object, a Path, a function of a module."""

    class Losses(imgcls.Callback):
        seen: ClassVar[list[float]] = []

        def on_train_batch_end(self, step, logs=None):
            self.seen.append(float(self.trainer.last_loss))

    run = imgcls.train(
        run="own",
        own_callbacks=[Losses()],
        loss={"_target_": f"{__name__}.own_loss", "args": {"scale": 0.0}},
        trainer=TINY,
        transform={"size": 32},
        **{"run.root": str(tmp_path)},
    )
    assert Losses.seen == [0.0]
    assert run.path == tmp_path / "own"


MISTAKES = {
    "a key": (
        lambda: imgcls.train(trainer={"epoch": 3}),
        "There is no key 'epoch' in 'trainer'. Did you mean 'epochs'",
    ),
    "a model": (lambda: imgcls.train(model="resnet5_vd"), "There is no model 'resnet5_vd'"),
    "a choice": (lambda: imgcls.train(data="foldr"), "There is no data=foldr. Did you mean 'folder'"),
    "a type": (lambda: imgcls.train(trainer={"epochs": "many"}), "trainer.epochs"),
    "a bound": (lambda: imgcls.train("trainer.epochs=0"), "trainer.epochs=0: must be at least 1"),
    "a directory": (lambda: imgcls.train(data={"name": "folder", "root": "没有"}), "没有: there is no such directory"),
    "a section": (lambda: imgcls.train(data=7), "data=7: give the name of a choice, or a mapping"),
    "a source": (lambda: imgcls.load_predictor("没有/run"), "There is no run, export or file at .*没有/run"),
    "a key that is no text": (lambda: imgcls.train(trainer={1: 1}), "trainer.1: a key must be a text"),
    "a value": (lambda: imgcls.train(optimizer={"lr": 1j}), "optimizer.lr=1j: a complex is no value"),
    "an array of another shape": (lambda: imgcls.train(optimizer={"lr": np.ones(1)}), r"optimizer.lr=\[1.0\]: must be"),
    "a network": (lambda: imgcls.train(model=ClassVar), "model=typing.ClassVar: give the name"),
    "a list": (lambda: imgcls.train(["optimizer.lr=1"]), "is no override: give texts such as 'optimizer.lr=0.1'"),
    "a flag": (lambda: imgcls.train("-m"), "-m: flags are for the command line"),
    "a function": (lambda: imgcls.train(own_callbacks=[print]), "own_callbacks: .* is no object of a class derived"),
    "a class": (lambda: imgcls.train(own_callbacks=imgcls.Callback), "own_callbacks: .* is no object of a class"),
    "a pattern": (lambda: imgcls.list_models(["resnet18"]), "is no pattern: give one text"),
    "a class count": (lambda: imgcls.create_model("resnet18", True), "num_classes=True is no int"),
    "weights": (lambda: imgcls.create_model("resnet18", pretrained=b"outputs/pets"), "pretrained=b'.*': give True"),
    "no weights": (lambda: imgcls.create_model("resnet18", pretrained=""), "pretrained='': give True"),
    "no source": (lambda: imgcls.load_predictor(None), "source=None: give the path"),
    "an empty source": (lambda: imgcls.preprocessing(""), "source='': give the name of a model"),
    "a home": (lambda: imgcls.preprocessing("~/nobody"), f"no run, export or file at {Path.home()}/nobody"),
    "which weights": (lambda: imgcls.load_predictor("resnet18", weights="best"), "weights='best': must be one of auto"),
    "a mapping": (
        lambda: imgcls.load_predictor("x.pdparams", model="resnet18", class_names={0: "cat"}),
        "class_names={0: 'cat'}: give a list of texts",
    ),
    "numbers": (
        lambda: imgcls.load_predictor("x.pdparams", model="resnet18", class_names=range(5)),
        "class_names=0, 1, 2, and 2 more: give a list of texts",
    ),
    "an engine": (lambda: imgcls.load_predictor("squeezenet1_1", engine="jit"), "engine=jit: this is for exports"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_messages(mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, message = MISTAKES[mistake]
    with pytest.raises(imgcls.UserError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (7, "int is no image"),
        (np.zeros((3, 4, 5)), r"An array of float64 \[3, 4, 5\] is no image"),
        (["missing.jpg"], "missing.jpg"),
        ([["a.jpg", "b.jpg"]], "A list of images may hold"),
        (b"\xff\xd8\xff", "bytes is no image. .* PIL.Image.open opens a file, or bytes as io.BytesIO"),
        (io.BytesIO(b"\xff\xd8\xff"), "BytesIO is no image"),
        ({"a.jpg": 1}, "dict is no image"),
        (np.zeros((0, 9, 3), np.uint8), "its width or its height is 0"),
        (Image.new("RGB", (0, 5)), "its width or its height is 0"),
    ],
)
def test_what_is_no_image(predictor, images, message):
    with pytest.raises(imgcls.UserError, match=message):
        predictor.predict(images)


@pytest.mark.parametrize("count", [0, True, 2.0, "2", None])
@pytest.mark.parametrize("name", ["topk", "batch_size"])
def test_a_count_is_a_whole_number(predictor, name, count):
    with pytest.raises(imgcls.UserError, match=f"{name}={count!r}: it must be a whole number"):
        predictor.predict(PHOTOS[0], **{name: count})
    assert len(predictor.predict(PHOTOS[0], topk=np.int64(2)).top) == 2


def test_a_run_stands_for_its_path(run, predictor):
    assert imgcls.load_predictor(run).class_names == predictor.class_names
    assert imgcls.load_predictor(run.path / "checkpoints").class_names == predictor.class_names


def test_an_answer_that_is_no_number_is_counted_over_all_batches(predictor, monkeypatch):
    answers = iter([np.full((2, 5), 0.2), np.array([[0.2] * 5, [np.nan] * 5])])
    monkeypatch.setattr(predictor, "predictor", type("Fake", (), {"probabilities": lambda self, _: next(answers)})())
    with pytest.raises(imgcls.UserError, match="image 3: the network's answer is no number"):
        predictor.predict(np.zeros((4, 9, 9, 3), np.uint8), batch_size=2)


def test_values_of_numpy_and_switches_in_words(tmp_path):
    """What a notebook computes reaches the configuration as a number or a list."""
    values = {"optimizer": {"lr": np.float32(0.5)}, "transform": {"scale": np.array([0.5, 1.0])}}
    sections = {**values, "trainer": {"epochs": np.int64(3), "topk": range(1, 3)}, "callbacks": {"ema": "on"}}
    with composed("train", [f"run.root={tmp_path}"], sections) as (config, _):
        assert (config.optimizer.lr, config.trainer.epochs, config.callbacks.ema.enabled) == (0.5, 3, True)
        assert (list(config.transform.scale), list(config.trainer.topk)) == ([0.5, 1.0], [1, 2])


@pytest.mark.parametrize("engine", [None, "inference", "jit"])
def test_threads_get_the_answers_of_one(engine, run, predictor, tmp_path_factory, run_program):
    """As in a web server. Asked at once, Paddle gives other answers, by a half and more, and says nothing."""
    asked = predictor
    if engine:
        served = tmp_path_factory.getbasetemp() / "served by threads"
        if not served.exists():
            words = (f"export.source='{run.path}'", f"export.dir='{served}'", "export.check=false")
            run_program("export", *words, cwd=served.parent)
        asked = imgcls.load_predictor(served, engine=engine)
    alone = [one.top for one in asked.predict(PHOTOS * 3)]
    with ThreadPoolExecutor(4) as threads:
        together = [[one.top for one in answers] for answers in threads.map(asked.predict, [PHOTOS * 3] * 4)]
    assert together == [alone] * 4
