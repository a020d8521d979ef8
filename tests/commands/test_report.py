"""``imgcls.eval eval.report=true``: the page of a real run, opened in a browser."""

import csv
import json
import re

import pytest
from chromium import chromium
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

CLASSES = ["fish", "land_animal", "monument", "renewable", "tool"]


@pytest.fixture(scope="module")
def report(run_program, tmp_path_factory):
    """Where a run of two epochs on the bundled photos was evaluated with a page."""
    directory = tmp_path_factory.mktemp("report")
    arguments = ("run.name=first", "trainer.epochs=2", "transform.size=64", "trainer.num_workers=0")
    run_program("train", *arguments, cwd=directory)
    result = run_program("eval", "eval.source=outputs/first", "eval.report=true", "run.name=judged", cwd=directory)
    assert "report.html" in result.stdout + result.stderr
    return directory / "outputs" / "judged"


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get((report / "report.html").as_uri())
        yield driver


def column(driver, number: int) -> list[str]:
    cells = driver.find_elements(By.CSS_SELECTOR, f"#classes tbody td:nth-child({number})")
    return [cell.text.replace("\xa0", " ") for cell in cells]


def read_csv(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_loads_without_a_complaint(page):
    assert page.get_log("browser") == []
    assert page.title == "squeezenet1_1 on 36 pictures"
    assert not page.find_element(By.ID, "tooltip").is_displayed()


def test_the_numbers_are_those_of_the_summary(page, report):
    summary = json.loads((report / "summary.json").read_text())
    tiles = page.find_elements(By.CSS_SELECTOR, ".tile")
    shown = {tile.get_attribute("data-name"): tile.find_element(By.TAG_NAME, "b").text for tile in tiles}
    assert shown.keys() == {"top1", "loss", "mean_class_accuracy", "expected_calibration_error", "pictures"}
    assert shown.pop("pictures") == f"{summary['pictures']} pictures"
    assert float(shown.pop("loss")) == pytest.approx(summary["loss"], abs=5.1e-5)
    for name, text in shown.items():
        assert float(re.fullmatch(r"([\d.]+)\s%", text)[1]) == pytest.approx(100 * summary[name], abs=5.1e-3)
    origin = page.find_element(By.ID, "origin").text
    for name in ("model", "source", "checkpoint", "split"):
        assert summary[name] in origin
    assert f"ECE {100 * summary['expected_calibration_error']:.2f}" in page.find_element(By.ID, "reliability").text


def test_the_curves_are_those_of_the_run(page, report):
    rows = read_csv(report.parent / "first" / "metrics.csv")
    titles = [title.text for title in page.find_elements(By.CSS_SELECTOR, "#curves h3")]
    assert titles == ["loss", "accuracy", "learning rate"]
    loss = page.find_element(By.CSS_SELECTOR, "#curves svg")
    assert len(loss.find_elements(By.CSS_SELECTOR, "circle")) == 4
    ActionChains(page).move_to_element_with_offset(loss, loss.size["width"] // 2 - 15, 0).perform()
    lines = page.find_element(By.ID, "tooltip").text.splitlines()
    assert lines[0] == "epoch 2"
    assert [line.split()[0] for line in lines[1:]] == ["train_loss", "val_loss"]
    for line in lines[1:]:
        name, value = line.split()
        assert float(value) == pytest.approx(float(rows[1][name]), rel=6e-3)


def test_pointing_at_the_confusion_matrix_counts(page, report):
    with (report / "confusion_matrix.csv").open() as file:
        counts = [[int(number) for number in row[1:]] for row in list(csv.reader(file))[1:]]
    canvas = page.find_element(By.CSS_SELECTOR, "#confusion canvas")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    for true in range(5):
        for predicted in range(5):
            x, y = (round((number - 2) * canvas.size["width"] / 5) for number in (predicted, true))
            ActionChains(page, duration=0).move_to_element_with_offset(canvas, x, y).perform()
            lines = page.find_element(By.ID, "tooltip").text.splitlines()
            assert lines[:2] == [f"true: {CLASSES[true]}", f"taken for: {CLASSES[predicted]}"]
            assert lines[2].startswith(f"{counts[true][predicted]} of {sum(counts[true])} pictures")
    ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    assert not page.find_element(By.ID, "tooltip").is_displayed()


def test_the_table_sorts_both_ways(page, report):
    rows = read_csv(report / "per_class.csv")
    heads = {head.text: head for head in page.find_elements(By.CSS_SELECTOR, "#classes th button")}
    assert column(page, 2) == CLASSES
    expected = sorted(rows, key=lambda row: (float(row["accuracy"]), -int(row["class"])), reverse=True)
    heads["accuracy"].click()
    assert column(page, 2) == [row["name"] for row in expected]
    assert column(page, 4) == [f"{100 * float(row['accuracy']):.1f} %" for row in expected]
    heads["accuracy"].click()
    assert [float(text.split()[0]) for text in column(page, 4)] == sorted(
        round(100 * float(row["accuracy"]), 1) for row in rows
    )
    sorted_heads = page.find_elements(By.CSS_SELECTOR, "#classes th[aria-sort]")
    assert [(head.text, head.get_attribute("aria-sort")) for head in sorted_heads] == [("accuracy", "ascending")]
    heads["pictures"].click()
    assert column(page, 3) == ["8", "8", "8", "8", "4"]
    heads["class"].click()
    heads["class"].click()
    assert column(page, 2) == CLASSES[::-1]


def test_the_most_confident_mistakes_have_pictures(page, report):
    wrong = [row for row in read_csv(report / "per_image.csv") if row["right"] == "0"]
    wrong.sort(key=lambda row: -float(row["score"]))
    cards = page.find_elements(By.CSS_SELECTOR, ".card")
    assert 0 < len(cards) == min(24, len(wrong))
    for card, row in zip(cards, wrong, strict=False):
        answers = [answer.text for answer in card.find_elements(By.CSS_SELECTOR, ".answer b")]
        assert answers == [row["predicted_name"], row["name"]]
        assert card.find_element(By.CSS_SELECTOR, ".path").get_attribute("title") == row["path"]
        for image in card.find_elements(By.TAG_NAME, "img"):
            assert image.get_property("naturalWidth") == 64


def test_weights_without_a_run_have_no_curves(run_program, report):
    directory = report.parent.parent
    weights = report.parent / "first" / "checkpoints" / "last" / "network.pdparams"
    arguments = (f"eval.source={weights}", "transform.size=64", "eval.topk=[1]", "eval.num_workers=0")
    run_program("eval", *arguments, "eval.report=true", "run.name=bare", cwd=directory)
    assert '"panels":[]' in (directory / "outputs" / "bare" / "report.html").read_text()
