"""The page of an evaluation as a file: whole in itself, whatever its names hold."""

import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest
from chromium import chromium
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from imgcls.functional.metrics import ConfusionMatrix
from imgcls.report.answers import Answers
from imgcls.report.content import page_content
from imgcls.report.curves import Panel
from imgcls.report.mistakes import Mistake
from imgcls.report.overlay import jpeg
from imgcls.report.page import page
from imgcls.report.reliability import reliability
from imgcls.report.tables import summarise

HOSTILE = (
    "</script><script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 2'>",
    "\"><svg onload='window.owned = 3'>",
    "</title><!--<script>",
    "${window.owned = 4} $title {{data}} `",
    "&lt;b&gt; &amp; \\u003c \N{LINE SEPARATOR} \N{RIGHT-TO-LEFT OVERRIDE}",
    "__proto__",
    "constructor",
    "x" * 400,
    "\N{CAT FACE} \N{GREEK SMALL LETTER ALPHA} \udcff",
)


def evaluation(names, pictures: int, seed: int = 0) -> tuple[dict, ConfusionMatrix]:
    """A page's content from random answers, a third of them right; the last class has no picture."""
    rng = np.random.default_rng(seed)
    classes = len(names)
    labels = rng.integers(0, max(1, classes - 1), pictures)
    logits = rng.normal(size=(pictures, classes))
    logits[np.arange(pictures), labels] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answers = Answers(np.arange(pictures), labels, probabilities.astype(np.float32))
    confusion = ConfusionMatrix(classes)
    confusion.update(labels, answers.predictions)
    numbers = {"loss": float("nan"), "top1": float(answers.right.mean())}
    picture = jpeg(np.full((24, 24, 3), 128, np.uint8))
    wrong = np.flatnonzero(~answers.right)[:3]
    content = page_content(
        summary=summarise({"model": names[0], "source": names[1 % classes]}, numbers, confusion, answers),
        class_names=names,
        confusion=confusion,
        reliability=reliability(answers.scores, answers.right),
        panels=[
            Panel("loss", {names[0]: [(1, 2.0)], "val_loss": [(1, 0.5)]}),
            Panel("learning rate", {"lr": [(1, 0)]}),
        ],
        mistakes=[
            Mistake(f"/photos/{names[0]}", int(labels[i]), int(answers.predictions[i]), 0.9, 0.1, picture, picture)
            for i in wrong
        ],
    )
    return content, confusion


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page and return the driver."""

    def open_page(title: str, content: dict):
        path = tmp_path / "report.html"
        path.write_text(page(title, content))
        browser.get_log("browser")
        browser.get(path.as_uri())
        return browser

    return open_page


def texts(driver, selector: str) -> list[str]:
    """Whole texts, cut off on the screen or not."""
    script = "return [...document.querySelectorAll(arguments[0])].map((found) => found.textContent)"
    return driver.execute_script(script, selector)


def point_at_cell(driver, true: int, predicted: int, classes: int) -> list[str]:
    """Lines of the tooltip with the pointer over a cell of the confusion matrix."""
    canvas = driver.find_element(By.CSS_SELECTOR, "#confusion canvas")
    side = canvas.size["width"]
    offsets = [round(((number + 0.5) / classes - 0.5) * side) for number in (predicted, true)]
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(driver).move_to_element_with_offset(canvas, *offsets).perform()
    return driver.find_element(By.ID, "tooltip").text.splitlines()


def test_names_are_data_and_nothing_else():
    content, _ = evaluation(HOSTILE, 60)
    text = page(HOSTILE[0], content)
    assert text.isascii()
    assert text.count("<script") == text.count("</script") == 2
    assert not re.search("<img|<svg|<!--", text)
    data = re.search(r'<script type="application/json" id="data">(.*)</script>\n<script>', text)[1]
    assert not set("<>&") & set(data)
    assert json.loads(data)["names"] == [*HOSTILE[:-1], HOSTILE[-1].replace("\udcff", "\\xff")]
    assert json.loads(data) == json.loads(json.dumps(content))
    assert html.unescape(re.search("<title>(.*)</title>", text)[1]) == HOSTILE[0]


def test_nothing_is_fetched_and_only_the_own_script_may_run():
    text = page("t", evaluation(("a", "b"), 9)[0])
    for attribute in re.findall(r"""(?:src|href)=["']?([^"'\s>]*)""", text.replace("${", "")):
        assert attribute.startswith("data:"), attribute
    assert not re.search(
        r"@import|fetch\(|XMLHttpRequest|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text
    )
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]  # a name, not an address
    policy = html.unescape(re.search('Content-Security-Policy" content="([^"]*)"', text)[1])
    style, script = (re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1] for tag in ("style", "script"))
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'"
    )


def test_no_number_is_written_as_nothing_json_knows():
    content, _ = evaluation(("a", "b", "never seen"), 12)
    assert content["summary"]["loss"] is None
    assert content["classes"]["accuracy"][2] is None
    page("t", content)
    with pytest.raises(ValueError, match="not JSON compliant"):
        page("t", {"value": float("nan")})


def test_hostile_names_are_shown_as_they_are(opened):
    content, _ = evaluation(HOSTILE, 80)
    driver = opened(HOSTILE[0], content)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return window.owned") is None
    assert driver.title == HOSTILE[0]
    shown = [name.replace("\udcff", "\\xff") for name in HOSTILE]
    assert texts(driver, "#classes td.name:nth-child(2)") == shown
    assert texts(driver, "h1") == texts(driver, "#origin div:nth-child(1) dd") == [HOSTILE[0]]
    assert texts(driver, ".legend span")[0] == HOSTILE[0]
    assert set(texts(driver, ".card b")) <= set(shown)
    assert len(texts(driver, ".card")) == 3
    images = driver.find_elements(By.TAG_NAME, "img")
    assert len(images) == 6
    assert all(image.get_property("naturalWidth") == 24 for image in images)
    assert point_at_cell(driver, 2, 2, len(HOSTILE))[0] == f"true: {HOSTILE[2]}"
    fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert driver.execute_script(fits)
    # Even markup that some script let in would be dead.
    inject = "const s = document.createElement('script'); s.textContent = 'window.owned = 5'; document.body.append(s);"
    driver.execute_script(inject + "return window.owned")
    assert driver.execute_script("return window.owned") is None
    assert "Content Security Policy" in driver.get_log("browser")[0]["message"]


def test_a_thousand_classes(opened):
    names = tuple(f"class {number}" for number in range(1000))
    content, confusion = evaluation(names, 5000)
    driver = opened("many", content)
    assert driver.get_log("browser") == []
    assert len(texts(driver, "#classes tbody tr")) == 1000

    # A cell is smaller than a pixel: the pointer finds the nearest pair that occurred.
    true, predicted, wording = point_at_cell(driver, 500, 500, 1000)
    pair = [int(line.rpartition(" ")[2]) for line in (true, predicted)]
    count, pictures = confusion.counts[pair[0], pair[1]], confusion.counts[pair[0]].sum()
    assert count > 0
    assert max(abs(number - 500) for number in pair) <= 10
    assert wording.replace("\xa0", " ") == f"{count} of {pictures} pictures, {100 * count / pictures:.1f} %".replace(
        "of 1 pictures", "of 1 picture"
    )
    labels = len(texts(driver, "#confusion .rows span"))
    assert 20 < labels < 60

    for _ in range(6):
        driver.find_element(By.CSS_SELECTOR, "#confusion button[title=enlarge]").click()
    assert len(texts(driver, "#confusion .rows span")) in (8, 9)
    middle = point_at_cell(driver, 4, 4, 8)
    row, column = (int(line.rpartition(" ")[2]) for line in middle[:2])
    assert 494 < row < 506
    assert middle[2].startswith(f"{confusion.counts[row, column]} of {confusion.counts[row].sum()} picture")
    canvas = driver.find_element(By.CSS_SELECTOR, "#confusion canvas")
    step = canvas.size["width"] / 8
    ActionChains(driver).move_to_element(canvas).click_and_hold().move_by_offset(0, round(2 * step)).release().perform()
    moved = point_at_cell(driver, 4, 4, 8)
    assert [int(line.rpartition(" ")[2]) for line in moved[:2]] == [row - 2, column]
    driver.find_element(By.CSS_SELECTOR, "#confusion button[title='show all classes']").click()
    assert len(texts(driver, "#confusion .rows span")) == labels

    driver.find_element(By.CSS_SELECTOR, "#classes input").send_keys("CLASS 99")
    found = texts(driver, "#classes tbody tr:not([hidden]) td:nth-child(2)")
    assert found == [f"class {number}" for number in (99, *range(990, 1000))]


@pytest.mark.parametrize("classes", [1, 2])
def test_few_classes_and_one_epoch(opened, classes):
    names = ("only", "other")[:classes]
    content, confusion = evaluation(names, 5)
    driver = opened("few", content)
    assert driver.get_log("browser") == []
    assert point_at_cell(driver, 0, 0, classes)[2].startswith(f"{confusion.counts[0, 0]} of 5 pictures")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#curves circle")) == 3
    assert texts(driver, "[data-name=loss] b") == ["\N{EN DASH}"]


NAMES = (
    "golden retriever",
    "花猫 (国内)",
    "a_very_long_name_of_some_data_set_2020",
    "dog, domestic dog, Canis familiaris",
    "gy",
)
"""As data sets have them."""

CUT = """
const cut = [];
for (const node of document.querySelectorAll("body *")) {
  const box = node.getBoundingClientRect();
  if (!box.width || node.closest(".scroll")) continue;
  if (box.left < -1 || box.right > document.documentElement.clientWidth + 1) cut.push(node.outerHTML);
  const hides = getComputedStyle(node).overflowX !== "visible";
  if (hides && !node.closest(".labels") && node.scrollWidth > node.clientWidth + 1) cut.push(node.outerHTML);
  if (hides && node.closest(".labels") && node.clientHeight < 15) cut.push(node.outerHTML);
}
return cut;
"""


@pytest.fixture
def screen(browser):
    """A screen of so many pixels across, light or dark."""

    def set_to(width: int, scheme: str):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    yield set_to
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def luminance(driver, script: str) -> float:
    """Of a colour in the page, 0 to 255."""
    return float(np.mean([int(part) for part in re.findall(r"\d+", driver.execute_script(script))[:3]]))


@pytest.mark.parametrize("classes", [len(NAMES), 40])
def test_a_phone(opened, screen, classes):
    screen(400, "light")
    names = NAMES if classes == len(NAMES) else tuple(f"class number {number}" for number in range(classes))
    driver = opened("a run with quite a long name, on a phone", evaluation(names, 300)[0])
    assert driver.get_log("browser") == []
    assert driver.execute_script("return document.documentElement.scrollWidth") == 400
    assert driver.execute_script(CUT) == []
    assert point_at_cell(driver, 1, 1, classes)[0] == f"true: {names[1]}"


def test_a_dark_room(opened, screen):
    """Light letters on a dark page, in the matrix too, which follows while the page is open."""
    empty = """
const canvas = document.querySelector("#confusion canvas");
return [...canvas.getContext("2d").getImageData(canvas.width - 9, canvas.height - 9, 1, 1).data].join();
"""
    paper = "return getComputedStyle(document.querySelector('section')).backgroundColor"
    ink = "return getComputedStyle(document.querySelector('h2')).color"
    screen(1200, "light")
    driver = opened("dark", evaluation(NAMES, 60)[0])
    assert [luminance(driver, script) > 128 for script in (paper, ink, empty)] == [True, False, True]
    screen(1200, "dark")
    assert [luminance(driver, script) > 128 for script in (paper, ink)] == [False, True]
    WebDriverWait(driver, 30).until(lambda driver: luminance(driver, empty) < 128)  # the page is told in its next frame
    for name in ("quiet", "right", "wrong", *(f"series-{number}" for number in range(2, 6))):
        colour = f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')"
        hexadecimal = driver.execute_script(f"return {colour}").strip(" #")
        assert max(bytes.fromhex(hexadecimal)) > 150, name
