"""Where the checkout and the reference numbers are; for `from locations import ROOT` in any test."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
REFERENCE = Path(__file__).parent / "reference"
