"""README.md and its Chinese edition say the same: sections, commands, code, links; and every link leads somewhere."""

import re
from itertools import zip_longest

import pytest
from locations import ROOT

import imgcls

ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README_zh.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")
EACH_OTHER = {"README.md", "README_zh.md"}


def prose(text: str) -> str:
    return BLOCK.sub("", text)


def sections(text: str) -> list[str]:
    """What stands below each heading, the first one's with it."""
    return re.split(r"^#+ .+$", prose(text), flags=re.MULTILINE)[1:]


def test_the_same_code_in_the_same_order():
    blocks = BLOCK.findall(ENGLISH)
    assert len(blocks) > 5
    for english, chinese in zip_longest(blocks, BLOCK.findall(CHINESE)):
        assert chinese == english


def test_the_same_sections():
    levels = [[len(signs) for signs, _ in HEADING.findall(prose(text))] for text in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]


def test_each_section_names_the_same_keys_files_and_pages():
    for english, chinese in zip(sections(ENGLISH), sections(CHINESE), strict=True):
        for what in (r"`([^`]+)`", LINK.pattern):
            there, here = ({" ".join(name.split()) for name in re.findall(what, text)} for text in (english, chinese))
            assert there - EACH_OTHER <= here, english
            assert here - there - EACH_OTHER <= names_in_code(), chinese


def names_in_code() -> set[str]:
    """What the Chinese text may explain beside: words of the blocks, whose comments are English."""
    blocks = " ".join(code for _, code in BLOCK.findall(ENGLISH))
    return {name for name in re.findall(r"`([^`]+)`", prose(CHINESE)) if name in blocks}


def test_both_lead_to_each_other():
    assert "(README_zh.md)" in ENGLISH[:400]
    assert "(README.md)" in CHINESE[:400]


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_links_lead_somewhere(text):
    links = [link for link in LINK.findall(prose(text)) if "://" not in link]
    assert len(links) > 5
    for link in links:
        assert (ROOT / link.partition("#")[0]).is_file(), link


def test_it_is_chinese():
    """No paragraph was left as it is in English."""
    for paragraph in re.split(r"\n\s*\n", prose(CHINESE)):
        words = re.sub(r"`[^`]*`|\]\([^)]*\)|[\W\d_]+", "", paragraph)
        if len(words) > 20:
            assert re.search(r"[\u4e00-\u9fff]{4}", paragraph), paragraph


def test_how_many_networks_there_are():
    ours, modern = (str(len(imgcls.list_models(modern=only))) for only in (False, True))
    for file in ("README.md", "README_zh.md", "imgcls/__init__.py", "setup.cfg"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"\b{ours} (networks|个).*\b{modern} (modern|个)", text.replace("\n", " ")), file
