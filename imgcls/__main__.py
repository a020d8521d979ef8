"""``python -m imgcls``: the programs that there are."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from imgcls.errors import USER_ERROR_STATUS, close_matches, listed
from imgcls.machine.streams import finished, prepare_streams

PACKAGE = Path(__file__).parent


def programs() -> Iterator[tuple[str, str]]:
    """Name and purpose of each program, from the first line of its file."""
    for file in (*sorted(PACKAGE.glob("*.py")), *sorted(PACKAGE.glob("*/__main__.py"))):
        first = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        command, _, purpose = first.partition(": ")
        name = file.stem if file.stem != "__main__" else file.parent.name
        if command.startswith(f"``python -m imgcls.{name}"):
            yield name, purpose


def main() -> int:
    prepare_streams()
    known = dict(programs())
    words = [word for word in sys.argv[1:] if word not in ("-h", "--help")]
    if words:
        name, rest = words[0].removeprefix("imgcls."), " ".join(words[1:])
        advice = f"{close_matches(name, known)} There are: {listed(known, 20)}."
        if name in known:
            advice = f" Write python -m imgcls.{name} {rest}".rstrip()
        print(f"error: imgcls alone does nothing.{advice}", file=sys.stderr)
        return USER_ERROR_STATUS
    for name, purpose in known.items():
        print(f"python -m imgcls.{name:<10} {purpose}")
    print("Each of them says with --help what it takes.")
    return 0


if __name__ == "__main__":
    sys.exit(finished(main()))
