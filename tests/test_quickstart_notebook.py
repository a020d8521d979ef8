"""docs/quickstart.ipynb, run from top to bottom in a kernel of its own, and its Chinese edition."""

import re

import pytest
from locations import ROOT

NOTEBOOK, CHINESE = ROOT / "docs" / "quickstart.ipynb", ROOT / "docs" / "quickstart_zh.md"
BLOCK = re.compile(r"```python\n(.*?)\n```", re.DOTALL)


@pytest.fixture
def notebook():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


def scores(text: str) -> dict[str, float]:
    return {name: float(score) for name, score in re.findall(r"(.+): ([\d.]+)\n", text)}


def test_it_leads_from_photos_to_a_service(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("uvicorn")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    photos, train, ask, export, serve, answers, end = map(said, code(notebook))
    assert "'fish', 'land_animal'" in photos
    right = int(re.match(r"(\d+)% of the validation photos are right", train)[1])
    assert right >= 70
    assert ask.startswith("fish: 0.")
    assert "'inference.pdiparams'" in export
    assert "'inference.yaml'" in export
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", serve)
    assert scores(answers) == pytest.approx(scores(ask), abs=0.002), "the service gives the network's answers"
    assert end == "0\n"


def test_it_is_stored_without_answers_of_a_machine(notebook):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(notebook))


def test_the_chinese_edition_has_the_same_code(notebook):
    text = CHINESE.read_text(encoding="utf-8")
    assert BLOCK.findall(text) == [cell.source for cell in code(notebook)]
    headings = [cell.source for cell in notebook.cells if cell.cell_type == "markdown" and cell.source.startswith("#")]
    found = re.findall(r"^#+ .*$", BLOCK.sub("", text), re.MULTILINE)
    assert [len(line.split()[0]) for line in found] == [len(text.split()[0]) for text in headings]
    assert all(re.search("[\u4e00-\u9fff]", line) for line in found)
    english = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    pages = re.compile(r"\]\(([^)]+)\)")
    others = {"quickstart_zh.md", "quickstart.ipynb"}
    assert set(pages.findall(text)) - others == set(pages.findall(english)) - others
    for page in {*pages.findall(text), *pages.findall(english)}:
        assert (ROOT / "docs" / page).is_file(), page
