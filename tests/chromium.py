"""Debian's Chromium without a window, driven by its own driver; nothing is fetched from anywhere."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NEEDED = "needs Chromium and its driver: apt-get install chromium chromium-driver"
"""How the reason begins for which tests of pages are skipped; the summary at the end counts them by it."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(profile: Path, width: int = 1200, height: int = 900) -> Iterator:
    """A selenium driver with an empty profile, whose log holds every message of the console.

    Without Chromium or its driver on this machine the test is skipped.
    """
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in found.items() if path is None]:
        pytest.skip(f"{NEEDED} (not found: {', '.join(missing)})")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    for flag in (*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(found["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()
