"""``python -m imgcls.doctor``: which Paddle, Python, cards and extras are here, whether they fit, and what to do."""

import argparse
import sys

from imgcls.errors import USER_ERROR_STATUS
from imgcls.machine.diagnosis import report
from imgcls.machine.signals import status_of
from imgcls.machine.streams import finished, prepare_streams
from imgcls.machine.text import escape_controls


def main() -> int:
    """Exit status: 0 where the library can run, also where a card cannot be used."""
    argparse.ArgumentParser(prog="python -m imgcls.doctor", description=(__doc__ or "").partition(": ")[2]).parse_args()
    prepare_streams()
    found, to_do, can_run = report()
    for line in found:
        print(escape_controls(line))
    print("\nWhat to do:" if to_do else "\nAll is well.")
    for line in to_do:
        print(escape_controls(f"- {line}"))
    return 0 if can_run else USER_ERROR_STATUS


if __name__ == "__main__":
    sys.exit(finished(status_of(main)))
