"""Shows the changes in an env file, with secrets masked."""

from __future__ import annotations

import difflib
import re

MASK = "********"
_SECRET = re.compile(r"^(?P<name>[^=#]*(?:SECRET|PASS|PRIVATE|ACCESS_KEY|PRIMARY|DETERMINISTIC|DERIVATION)[^=]*)=.+$")


def masked(line: str) -> str:
    """Return a line of an env file, with its value masked if the variable's name looks like that of a secret."""
    found = _SECRET.match(line)
    return f"{found['name']}={MASK}" if found else line


def difference(before: str, after: str) -> list[str]:
    """Return the removed (`-`) and added (`+`) lines."""
    old, new = ([masked(line) for line in text.splitlines()] for text in (before, after))
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def secrets_in(text: str) -> list[str]:
    """Return the secret values of an env file, which must not appear anywhere else."""
    lines = [line for line in text.splitlines() if _SECRET.match(line) and not line.startswith("AWS_ACCESS_KEY_ID=")]
    values = [line.partition("=")[2].strip("'\"") for line in lines]
    return [value for value in values if len(value) >= 8]
