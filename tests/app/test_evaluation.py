"""Evaluation takes its classes from the checkpoint: other data is matched by name, or refused with a way out."""

import csv
import json
import shutil

import hydra
import pytest
from locations import ROOT
from tiny_run import SMALLEST

from imgcls.app import source
from imgcls.app.evaluation import evaluation_samples
from imgcls.app.model_group import register_sources
from imgcls.app.program import conf_directory, typed
from imgcls.errors import UserError

PHOTOS = ROOT / "imgcls" / "assets" / "sample_photos" / "val"
TINY = (*SMALLEST, "transform.size=32", "trainer.epochs=1", "trainer.gpus=0", "trainer.num_workers=0")
CLASSES = ("fish", "monument", "tool")


def copy(root, *classes, source=PHOTOS):
    for name in classes:
        shutil.copytree(source / name, root / name)
    return root


@pytest.fixture(scope="module")
def here(run_program, tmp_path_factory):
    """A directory with a run on three classes, a share of which was for validation."""
    directory = tmp_path_factory.mktemp("照片")
    copy(directory / "pets", *CLASSES)
    given = ("data=folder", "data.root=pets", "data.val_share=0.25", "run.name=run")
    run_program("train", *TINY, *given, cwd=directory)
    return directory


@pytest.fixture
def ask(here, monkeypatch):
    """What ``imgcls.eval eval.source=outputs/run`` evaluates with more words: file name and class of each sample."""

    def ask(*words, split="val", program="eval"):
        given = [word.split("=")[0] for word in words]
        monkeypatch.chdir(here)
        monkeypatch.setattr(source, "given_keys", lambda: given)
        register_sources()
        with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
            config = typed(hydra.compose(program, overrides=list(words)), program)
        found = source.load_source(config, "outputs/run")
        if program != "eval":
            return found.class_names
        samples = evaluation_samples(found, split, given)
        assert samples.class_names == found.class_names
        return {samples.path(i).rpartition("/")[2]: samples.class_names[samples.label(i)] for i in range(len(samples))}

    return ask


def photos(*classes):
    return {path.name: name for name in classes for path in (PHOTOS / name).iterdir()}


def refusal(ask, *words, **options):
    with pytest.raises(UserError) as caught:
        ask(*words, **options)
    return str(caught.value)


def test_a_run_is_evaluated_on_its_own_share(here, ask):
    train, val = ask(split="train"), ask()
    assert {**train, **val} == photos(*CLASSES)
    assert (len(train), len(val)) == (18, 6)
    rows = list(csv.DictReader((here / "outputs/run/metrics.csv").open()))
    assert "val_top1" in rows[0]


@pytest.mark.parametrize("layout", ["", "val/", "with train/"])
def test_a_test_set_that_lacks_a_class(here, ask, layout):
    root = here / f"lacks {layout.replace('/', '')}"
    copy(root / "val" if layout else root, "tool", "fish")
    if layout == "with train/":
        copy(root / "train", "tool", "fish")
    words = [f'data.root="{root}"', *([] if layout else ["data.val_share=null"])]
    assert ask(*words) == photos("fish", "tool")


def test_which_share_of_other_data_is_asked(here, ask):
    copy(here / "moved", *CLASSES)
    message = refusal(ask, "data.root=moved")
    assert "Add data.val_share=0.25 for the same share" in message
    assert "or data.val_share=null for all" in message
    assert ask("data.root=moved", "data.val_share=0.25") == ask()
    assert ask("data.root=moved", "data.val_share=null") == photos(*CLASSES)


def test_a_class_that_the_model_does_not_have(here, ask):
    copy(here / "more" / "val", "fish", "renewable")
    message = refusal(ask, "data.root=more")
    assert "'renewable' is not a class" in message
    assert "move those of other classes away" in message
    assert "num_classes" not in message


def lines_of(classes, *names):
    return "".join(
        f"{name}/{path.name} {classes.index(name)}\n" for name in names for path in (PHOTOS / name).iterdir()
    )


def test_lists_without_the_training_data(here, ask, caplog):
    """Labels are the model's numbers, or those of a class map in any order."""
    copy(here / "listed", "fish", "tool")
    (here / "listed" / "val_list.txt").write_text(lines_of(CLASSES, "fish", "tool"))
    assert ask("data=list", "data.root=listed") == photos("fish", "tool")
    other = ("tool", "dog", "fish")
    (here / "listed" / "other.txt").write_text(lines_of(other, "fish", "tool"))
    (here / "map.txt").write_text("".join(f"{label} {name}\n" for label, name in enumerate(other)))
    words = ("data=list", "data.root=listed", "data.val_list=other.txt", "data.class_map=map.txt")
    assert ask(*words) == photos("fish", "tool")
    (here / "map.txt").write_text("0 tool\n1 monument\n2 dog\n")
    assert "8 of 16 pictures of listed are of classes that the model does not have:\n  'dog' (8)." in refusal(
        ask, *words
    )
    (here / "listed" / "val_list.txt").write_text("fish/fish14.jpg 3\n")
    assert "the label 3 is outside 0 to 2 (3 classes)" in refusal(ask, "data=list", "data.root=listed")


def test_numbers_that_contradict_the_checkpoint(ask):
    for key in ("model.num_classes", "data.num_classes"):
        assert f"{key}=7: the model in " in (message := refusal(ask, f"{key}=7"))
        assert f"has 3 classes. Leave {key} out." in message
    assert ask("model.num_classes=3") == ask()


def test_a_class_map_with_other_names(here, ask):
    (here / "names.txt").write_text("0 Fisch\n1 Denkmal\n2 Werkzeug\n")
    for program in ("eval", "export"):
        message = refusal(ask, "data.class_map=names.txt", program=program)
        assert "has other classes (Fisch, Denkmal, Werkzeug, ...) than the model in" in message
        assert message.endswith("Leave data.class_map out.")
    (here / "same.txt").write_text("0 fish\n1 monument\n2 tool\n")
    assert ask("data.class_map=same.txt", program="export") == CLASSES


def test_a_class_map_names_the_classes_of_a_run_that_has_numbers_alone(here, ask, monkeypatch):
    read = source.read_record
    monkeypatch.setattr(
        source, "read_record", lambda path: type(r := read(path))(r.checkpoint, r.config, ["0", "1", "2"])
    )
    (here / "names.txt").write_text("0 Fisch\n1 Denkmal\n2 Werkzeug\n")
    assert ask("data.class_map=names.txt", program="export") == ("Fisch", "Denkmal", "Werkzeug")


def test_nothing_is_evaluated_by_choice(here, run_program):
    """Class directories need no ``train`` above them then; the run is used by its last checkpoint."""
    given = ("data=folder", "data.root=pets", "trainer.eval_every=0", "run.name=blind")
    result = run_program("train", *TINY, *given, cwd=here)
    assert "24 training and 0 validation pictures in 3 classes" in result.stderr
    run = here / "outputs" / "blind"
    assert json.loads((run / "summary.json").read_text()) == {"best": {"epoch": None}, "epochs": 1}
    (row,) = csv.DictReader((run / "metrics.csv").open())
    assert not any(name.startswith("val_") for name in row)
    assert (run / "curves.png").exists()
    answers = ("predict.source=outputs/blind", "predict.input=pets/fish", "run.name=told")
    assert "8 of 8 pictures" in run_program("predict", *answers, cwd=here).stderr


def test_pictures_that_are_named_are_not_replaced_by_those_of_the_run(here, monkeypatch):
    """A run on the bundled photos, or on made-up ones, has no directory of its own that another could stand for."""
    monkeypatch.chdir(here)
    register_sources()

    def evaluated(*words):
        with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
            config = typed(hydra.compose("eval", overrides=["eval.source=outputs/run", *words]), "eval")
        known = source.Source(config, CLASSES, None)
        return evaluation_samples(known, "val", {word.partition("=")[0] for word in words} - {"data"})

    assert len(evaluated("data=sample", "data.root=pets")) == 24
    with pytest.raises(UserError, match=r"made up .*Write data=folder data.root=pets"):
        evaluated("data=synthetic", "data.root=pets")
