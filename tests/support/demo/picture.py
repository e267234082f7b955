"""Draws the README's picture of a migration, docs/images/demo.svg, from the output of a real demo.

Usage: python -m demo.picture [FILE]   (FILE is the output of an earlier `make demo`; without it, a demo is run)
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import environments
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = environments.ROOT / "docs" / "images" / "demo.svg"
WIDTH = 118
# How many lines of each part of the result are shown.
MAX_LINES = 5
# Tasks that changed something, and two lines of the role's report.
_TASK = re.compile(r"^ +[0-9.]+ s +changed +(?! |Record)|^ +\d+ of \d+ files on disk|^ +\d+ seconds for the switch")
_START = "ansible-playbook "
_RESULT = "Migrated in "
_END = "demo: "
_STYLES = {
    r"^\$ .*|^(?:Migrated|What) .*": "bold",
    r"^ +[0-9.]+ s(?=  )": "bright_black",
    r"(?<= s  )ok\b|^  ok\b|^  200 \S+|^  \+.*": "green",
    r"(?<= s  )changed\b": "yellow",
    r"^  403|^  FAILED|^  -.*": "red",
}


class PictureError(Exception):
    """The picture can't be drawn. The text says why."""


def run_demo() -> str:
    """Run a demo and return its output.

    Raises:
        PictureError: The demo failed.
    """
    command = [str(Path(__file__).with_name("run.sh"))]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise PictureError(f"the demo failed:\n{done.stdout}")
    return done.stdout


def excerpt(output: str) -> list[str]:
    """Return the lines to show: the command, tasks that changed something, and the start of each part of the result.

    Raises:
        PictureError: There is no result, or a line names a folder of this machine.
    """
    lines = output.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith(_START)), None)
    result = next((number for number, line in enumerate(lines) if line.startswith(_RESULT)), None)
    end = next((number for number, line in enumerate(lines) if line.startswith(_END) and number > (result or 0)), None)
    if start is None or result is None or end is None:
        raise PictureError("this is not the output of a demo that succeeded")
    shown = ["$ make demo", "...", *filter(_TASK.match, lines[start:result]), ""]
    part: list[str] = []
    for line in lines[result : end - 1]:
        part = [*part, line] if line else []
        shown += [line] if len(part) <= MAX_LINES else ["  ..."] if len(part) == MAX_LINES + 1 else []
    named = [line for line in shown if str(environments.ROOT) in line or str(Path.home()) + "/" in line]
    if named:
        raise PictureError(f"these lines name a folder of this machine: {named}")
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in shown]


def draw(lines: list[str]) -> str:
    """Return an SVG picture of a terminal with these lines. It loads no fonts from other sites."""
    text = Text("\n".join(lines))
    for pattern, style in _STYLES.items():
        for match in re.finditer(pattern, text.plain, re.MULTILINE):
            text.stylize(style, *match.span())
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, legacy_windows=False)
        console.print(text)
        svg = console.export_svg(title="fediverse.mastodon_s3", theme=MONOKAI, unique_id="demo")
    return re.sub(r"\s*@font-face \{.*?\n    \}\n", "\n", svg, flags=re.DOTALL)


def main() -> int:
    """Draw the picture. Return the exit status."""
    try:
        output = Path(sys.argv[1]).read_text(encoding="utf-8") if sys.argv[1:] else run_demo()
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.write_text(draw(excerpt(output)), encoding="utf-8")
    except PictureError as error:
        print(f"picture.py: {error}", file=sys.stderr)
        return 1
    print(f"picture.py: drew {PICTURE.relative_to(environments.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
