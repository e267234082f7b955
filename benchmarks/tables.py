"""Formats results as Markdown tables, and writes them into benchmarks/README.md."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def machine() -> str:
    """Return the date, the processor, memory and kernel of this machine, and how busy it was lately, in one line."""
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[2]
    return (
        f"{today}, {cores} cores of {_processor()}, {memory:.0f} GiB, Linux {platform.release()},"
        f" load of {load:.1f} in the last 15 minutes"
    )


def first_line(words: Sequence[str | Path]) -> str:
    """Return the first line of a command's output, such as its version."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()


def write_section(section: str, text: str) -> None:
    """Replace the text between the markers of a section in the README.

    Raises:
        ValueError: The README has no such markers.
    """
    begin, end = f"<!-- begin of {section}, generated with ARGS=--write -->\n", f"<!-- end of {section} -->"
    before, found, rest = README.read_text(encoding="utf-8").partition(begin)
    _old, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{README} has no markers for {section}")
    README.write_text(f"{before}{begin}\n{text.strip()}\n\n{ended}{after}", encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _colon, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
