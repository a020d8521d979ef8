"""Programs as Paddle 3 writes them: PIR, in JSON. Read within bounds, exactly as Paddle reads them or not at all.

Needs the standard library alone: ``scripts/clients/service/pir_program.py`` is a copy.
"""

import json
from collections.abc import Iterator
from typing import Any

PARAMETER = "p"
"""How a file calls the operator that gives a parameter or a buffer; every other name has its dialect in front."""

DIALECTS = {"0.": "builtin.", "1.": "pd_op.", "2.": "cf."}
"""How names begin in a file, and as one writes them."""

LARGEST = 32 << 20
CONTAINERS = 500_000
DEEPEST = 16
DIGITS = 40
"""Bytes, lists and objects, programs inside operators, digits of a whole number. HRNet_W64_C has 1.3 MB and 76,000."""

OPERATOR_PARTS = {"#", "A", "DA", "I", "O", "OA", "QA", "regions"}


def operators(content: memoryview) -> Iterator[dict[str, Any]]:
    """Every operator of a program, those inside others too, each a mapping with its name under ``#``.

    Where Paddle's reader might see something else than this one, it is an error here: a key that is
    given twice or is not known, anything after the program.

    Raises:
        ValueError: it is no such program, or too large for one.
    """
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST:,} bytes")
    text = bytes(content).decode("utf-8")
    if text.count("{") + text.count("[") > CONTAINERS:
        raise ValueError(f"more than {CONTAINERS:,} lists and objects")
    try:
        file = json.loads(text, object_pairs_hook=_once, parse_int=_whole_number, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    program = _parts(file, {"base_code", "program"}).get("program")
    yield from _operators(_parts(program, {"regions"}).get("regions"), DEEPEST)


def parameter_names(content: memoryview) -> list[str]:
    """Sorted names of a program's parameters and buffers, which is the order of their values in the other file.

    Raises:
        ValueError: it is no such program, or too large for one.
    """
    names = set()
    for operator in operators(content):
        if operator["#"] == PARAMETER:
            values = operator.get("A")
            name = values[3] if isinstance(values, list) and len(values) == 4 else None
            if not isinstance(name, str) or not name:
                raise ValueError("a parameter without a name")
            names.add(name)
    return sorted(names)


def _operators(regions: Any, deepest: int) -> Iterator[dict[str, Any]]:
    if not deepest:
        raise ValueError(f"more than {DEEPEST} programs inside each other")
    for region in _items(regions):
        for block in _items(_parts(region, {"#", "blocks"}).get("blocks")):
            for operator in _items(_parts(block, {"#", "args", "kwargs", "ops"}).get("ops")):
                if not isinstance(_parts(operator, OPERATOR_PARTS).get("#"), str):
                    raise ValueError("an operator without a name")
                yield operator
                yield from _operators(operator.get("regions", []), deepest - 1)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is given twice")
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a part that should be a list is none")
    return value


def _parts(value: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a part that should be an object is none")
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"a part called {written_out(unknown[0])}")
    return value


def written_out(name: str) -> str:
    """A name in a file as one writes it, ``pd_op.relu`` of ``1.relu``; printable and of bounded length."""
    for short, dialect in DIALECTS.items():
        if name.startswith(short):
            name = dialect + name[len(short) :]
            break
    return name[:200] if name[:200].isprintable() else name[:200].encode("unicode_escape").decode()
