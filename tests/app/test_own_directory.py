"""Jobs that start in one second: each has a directory of its own; a directory that was named has one writer."""

import importlib
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from omegaconf import OmegaConf

from imgcls.app import program
from imgcls.app.conf_files import ConfFiles
from imgcls.app.own_directory import OwnDirectory, claim
from imgcls.errors import UserError
from imgcls.machine.files import make_own_directory
from imgcls.run.lock import LOCK, held, hold


def composed(root, task=(), hydra=()):
    told = {
        "overrides": {"task": list(task), "hydra": list(hydra)},
        "run": {"dir": "${run.root}/${run.name}"},
        "sweep": {"dir": "${run.root}/sweep-1200"},
    }
    return OmegaConf.create({"run": {"root": str(root), "name": "eval-1200"}, "hydra": told})


def test_of_many_at_once_each_gets_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_own_directory(tmp_path / "outputs" / "eval"), range(40)))
    names = ["eval", *(f"eval-{number}" for number in range(2, 41))]
    assert sorted(path.name for path in made) == sorted(names)


def test_a_job_that_nobody_has_named_gets_another_name(tmp_path):
    first, second, named = composed(tmp_path), composed(tmp_path), composed(tmp_path, task=["run.name=eval-1200"])
    for config in (first, second, named):
        OwnDirectory().on_run_start(config)
    assert [config.run.name for config in (first, second, named)] == ["eval-1200", "eval-1200-2", "eval-1200"]
    assert second.hydra.run.dir == str(tmp_path / "eval-1200-2")
    for given in ({"hydra": ["hydra.run.dir=here"]}, {"task": ["++run.name=x"]}):
        config = composed(tmp_path, **given)
        claim(config)
        assert config.run.name == "eval-1200"
    config = composed(tmp_path)
    claim(config, ("run.name",))
    assert config.run.name == "eval-1200"


def test_so_does_a_sweep_and_its_jobs_are_told(tmp_path):
    root = tmp_path / "it's"
    configs = [composed(root), composed(root)]
    callbacks = [OwnDirectory() for _ in configs]
    for callback, config in zip(callbacks, configs, strict=True):
        callback.on_multirun_start(config)
    assert configs[1].hydra.sweep.dir == str(root / "sweep-1200-2")
    escaped = str(root / "sweep-1200-2").replace("'", "\\'")
    assert configs[1].hydra.overrides.hydra == [f"hydra.sweep.dir='{escaped}'"]
    for callback, config in zip(callbacks, configs, strict=True):
        callback.on_multirun_end(config)
    assert not any(root.rglob(LOCK))


def test_a_directory_has_one_writer(tmp_path):
    """Of processes: this one's own lock never stands in its way."""
    with held(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                hold(tmp_path)
            except UserError as error:
                os._exit(3 if f"process {os.getppid()}" in str(error) else 4)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("program", "words"), [("eval", ["eval.source=outputs/pets"]), ("verify", [])])
def test_results_of_another_program_are_left_alone(program, words, ask, tmp_path):
    """All three write a summary.json."""
    (tmp_path / "outputs" / "pets" / "checkpoints").mkdir(parents=True)
    result = ask(program, *words, "run.name=pets", cwd=tmp_path)
    assert "holds results of imgcls.train. Choose another run.name." in result.stderr
    assert result.returncode == 2
    assert [path.name for path in (tmp_path / "outputs" / "pets").iterdir()] == ["checkpoints"]


def test_a_sweep_that_was_named_has_one_writer(tmp_path, capfd):
    config = composed(tmp_path, hydra=[f"hydra.sweep.dir={tmp_path}"])
    config.hydra.sweep.dir = str(tmp_path)
    with held(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                OwnDirectory().on_multirun_start(config)
            except SystemExit as leaving:
                os._exit(leaving.code)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert f"error: Another process is writing the run {tmp_path}" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_a_launcher_sends_to_its_processes_holds_nothing(tmp_path):
    holder, config = OwnDirectory(), composed(tmp_path, hydra=[f"hydra.sweep.dir={tmp_path}"])
    holder.on_multirun_start(config)
    try:
        copy = pickle.loads(pickle.dumps(holder))
        copy.on_multirun_end(config)
        with pytest.raises(UserError, match="Another process is writing"), ProcessPoolExecutor(1) as pool:
            pool.submit(_hold_sweep, tmp_path / "sweep-1200").result()
    finally:
        holder.on_multirun_end(config)


def _hold_sweep(path):
    os.close(hold(path))


@pytest.mark.parametrize(("words", "times"), [([], 1), (["--run"], 2), (["hydra.mode=RUN"], 2)])
def test_a_mistake_leaves_nothing_behind_however_the_command_is_read(words, times, ask, monkeypatch, tmp_path):
    """A command without options of Hydra's is composed once for it."""
    loaded, load = [], ConfFiles.load_config
    monkeypatch.setattr(
        ConfFiles, "load_config", lambda self, config_path: loaded.append(config_path) or load(self, config_path)
    )
    answer = ask("train", *words, "trainer.epochs=0", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr == "error: trainer.epochs=0: must be at least 1.\n"
    assert list(tmp_path.iterdir()) == []
    assert loaded.count("train") == times


TYPED = {
    "by its name": (["run.name=a"], 1),
    "by the time": ([], 2),  # its name is that of the directory made for it
    "elsewhere": (["run.name=a", "hydra.job.chdir=true"], 2),
    "that may go on": (["run.name=a", "trainer.resume=auto"], 1),
}


def test_what_was_checked_is_what_runs_unless_it_may_have_changed(ask, monkeypatch, tmp_path):
    ran, count = {}, {}
    for case, (words, _) in TYPED.items():
        typing = Mock(wraps=program._typed)
        monkeypatch.setattr(program, "_typed", typing)
        monkeypatch.setattr(
            importlib.import_module("imgcls.train"), "start_training", lambda *given: ran.update(last=given)
        )
        answer = ask("train", "trainer.epochs=4", *words, cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        config, directory = ran.pop("last")
        assert config.run.name == directory.name
        ran[case], count[case] = OmegaConf.to_container(config), typing.call_count
        monkeypatch.undo()
    assert count == {case: times for case, (_, times) in TYPED.items()}
    assert ran["by its name"] == ran["elsewhere"]
    assert ran["by its name"]["trainer"] | {"resume": "auto"} == ran["that may go on"]["trainer"]
