"""``python -m imgcls.models`` and the page it writes, against the reference's figures."""

import csv
import io
import json

import pytest
from locations import REFERENCE, ROOT

from imgcls import list_models
from imgcls.errors import UserError
from imgcls.models.__main__ import main, select

PROGRAM = "models"


@pytest.fixture(scope="module")
def references():
    """What the reference says of each network."""
    return {path.stem: json.loads(path.read_text()) for path in (REFERENCE / "models").glob("*.json")}


def test_table_says_whose_accuracy_it_is(run_program, tmp_path):
    output = run_program(PROGRAM, "resnet50*", cwd=tmp_path).stdout
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line.strip().startswith("resnet50")}
    assert list(rows) == list_models("resnet50*")
    assert rows["resnet50_vd"][1:] == ["ResNet", "25.6", "M", "4.33", "G", "224", "79.12", "/", "94.44", "url"]
    assert "published" in output.split("resnet50 ")[0]
    assert "not measured here" in " ".join(output.split())


def test_names_stay_whole_in_a_pipe(run_program, tmp_path):
    output = run_program(PROGRAM, cwd=tmp_path).stdout
    assert [line.split()[0] for line in output.splitlines() if " M  " in line] == list_models()


def test_csv_has_the_figures_of_the_reference(capsys, references):
    assert main(["--format", "csv", "*"]) == 0
    rows = {row["published_name"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert len(rows) == len(list_models())
    assert rows.keys() >= references.keys()
    for name, reference in references.items():
        row = rows[name]
        assert (row["name"], row["published"]) == (name.lower(), str(reference["published"]))
        assert (int(row["params"]), int(row["macs"])) == (reference["num_params"], reference["macs"])
        assert int(row["input_size"]) == reference["input_size"]
        for key in ("top1", "top5"):
            value = row[f"published_{key}"]
            assert (float(value) if value else None) == reference[key]
        assert row["mean"] == "0.485 0.456 0.406"


def test_json_has_what_the_csv_has(capsys):
    main(["--format", "csv", "squeezenet*"])
    header, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    main(["--format", "json", "squeezenet*"])
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == [line[0] for line in lines] == ["squeezenet1_0", "squeezenet1_1"]
    assert list(records[0]) == header
    assert [record["weights_bundled"] for record in records] == [False, True]
    assert records[1]["std"] == [0.229, 0.224, 0.225]


def test_published_are_the_readme_s(capsys, references):
    main(["--published", "--format", "json"])
    names = {record["published_name"] for record in json.loads(capsys.readouterr().out)}
    assert names == {name for name, reference in references.items() if reference["published"]}


def test_several_patterns_give_each_model_once_in_natural_order():
    names = [info.name for info in select(["vgg*", "VGG1?", "alexnet"])]
    assert names == ["alexnet", "vgg11", "vgg13", "vgg16", "vgg19"]


def test_a_pattern_without_a_match_is_a_mistake(run_program, tmp_path):
    result = run_program(PROGRAM, "resnet5_vd", cwd=tmp_path, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: No model matches 'resnet5_vd'. Did you mean 'resnet50_vd'")
    with pytest.raises(UserError, match=r"No published model matches 'mobilenetv3_large\*'\. Did you mean 'mobilenetv"):
        select(["mobilenetv3_large*"], published=True)


def test_the_page_in_docs_is_up_to_date(capsys):
    main(["--format", "markdown"])
    page = (ROOT / "docs" / "models.md").read_text()
    command = "python -m imgcls.models --format markdown > docs/models.md"
    assert capsys.readouterr().out == page, f"write it again: {command}"
    assert command in page
