"""Measures what a change feed costs: its CPU for foreign changes and for changes in its tree, and that of the writers.

Run it by `make benchmark-feed` as root: see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / ".cache" / "collections")]

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client  # noqa: E402
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.start import start, stop  # noqa: E402

WRITES = """
import os, resource, sys

kind, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "database":  # pages of a few files, as a database writes them
    files = [os.open(f"{folder}/{number}", os.O_CREAT | os.O_RDWR) for number in range(100)]
    for number in range(count):
        os.pwrite(files[number % 100], b"x" * 100, 0)
else:  # each file is made, and removed: two events
    for number in range(count // 2):
        name = f"{folder}/{number}"
        os.mknod(name)
        os.unlink(name) if kind == "made and removed" else os.chmod(name, 0o600)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def cpu(process: int) -> float:
    """Return the seconds of CPU that a process has used so far."""
    words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def peak(process: int) -> float:
    """Return the most memory that a process ever held, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def write(kind: str, folder: Path, count: int) -> float:
    """Cause this many events in a folder, and return the seconds of CPU that this took."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WRITES, kind, str(folder), str(count)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Print one line for each kind of changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many changes (default: %(default)s)")
    parser.add_argument("--dir", default=None, help="a folder on the file system to use (default: that of /tmp)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        root = Path(name)
        (root / "tree").mkdir()
        src, state_dir = str(root / "tree"), str(root / "state")
        print(f"{'changes':<28} {'events':>9} {'feed CPU':>9} {'drained':>9}", end=" ")
        print(f"{'writer CPU':>11} {'without':>9} {'peak':>8}")
        for where, kind in (
            ("outside", "database"),
            ("outside", "made and removed"),
            ("outside", "made"),
            ("tree", "made"),
        ):
            bare = write(kind, root / "bare", options.events)
            subprocess.run(["rm", "-r", str(root / "bare")], check=True)
            process = start(src, state_dir, 3600, lambda _command: (1, "", "")).process
            client = Client(src, state_dir)
            client.drain()
            before = cpu(process)
            folder = root / where if where == "outside" else root / "tree" / "folder"
            writer = write(kind, folder, options.events)
            started = time.monotonic()
            client.drain()
            drained, used = time.monotonic() - started, cpu(process) - before
            print(
                f"{where + ', ' + kind:<28} {options.events:>9} {used:>7.2f} s {drained:>7.2f} s {writer:>9.2f} s"
                f" {bare:>7.2f} s {peak(process):>4.0f} MiB",
                flush=True,
            )
            stop(src, state_dir)
            subprocess.run(["rm", "-r", str(folder)], check=True)
            os.waitpid(process, 0)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this needs root")
    main()
