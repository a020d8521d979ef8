"""``imgcls.eval`` of an export: the run's own accuracy, by its files and its contract alone."""

import json

import pytest


def test_an_export_is_as_right_as_its_run(run_directory, run_program, tmp_path):
    exported = ("export.check=false", "export.input=uint8", "export.weights=network", "export.dir=served")
    run_program("export", f"export.source={run_directory}", *exported, cwd=tmp_path)
    data = ("data=sample", "eval.num_workers=0")
    run_program("eval", f"eval.source={run_directory}", "eval.weights=network", "run.name=run", *data, cwd=tmp_path)
    told = run_program("eval", "eval.source=served", "eval.engine=inference", "run.name=export", *data, cwd=tmp_path)
    of_run, of_export = (
        json.loads((tmp_path / "outputs" / name / "summary.json").read_text()) for name in ("run", "export")
    )
    assert of_export["pictures"] == of_run["pictures"] == 36
    assert of_export["top1"] == of_run["top1"]
    assert of_export["loss"] == pytest.approx(of_run["loss"], rel=1e-4)
    assert of_export["model"] == of_run["model"]
    assert "report:" in told.stderr + told.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("eval.source={export}", "eval.engine=jit", "eval.report=true"),
            "does not tell: name the run",
        ),
        (("eval.source={run}", "eval.engine=auto"), "eval.engine=auto is for exports"),
        (("eval.source={export}", "eval.engine=jit", "data=sample"), "classes"),
    ],
)
def test_what_does_not_go_together(words, told, exports, run_directory, run_program, tmp_path):
    words = [word.format(export=exports["float"], run=run_directory) for word in words]
    done = run_program("eval", *words, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
