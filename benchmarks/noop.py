"""Measures a run of s3_sync that has nothing to do, and a bare walk of the same tree.

Run it with `make benchmark-noop`, which builds what it needs. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "support")]

import environments  # noqa: E402
import stores  # noqa: E402
import tables  # noqa: E402
import tools  # noqa: E402
import trees  # noqa: E402
from measure import BenchmarkError, Usage, measured  # noqa: E402
from null_server import NullServer  # noqa: E402

BUCKET = "noop"
BARE_WALK = """
import os, sys

def walk(folder):
    files = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                files += walk(entry.path)
            else:
                os.lstat(entry.path)
                files += 1
    return files

print(walk(sys.argv[1]))
"""


def bare_walk(src: Path, files: int, python: Path) -> Usage:
    """Walk a tree with os.scandir and os.lstat, and nothing else."""
    usage = measured([python, "-c", BARE_WALK, src], env=tools.environment({}))
    if usage.status or int(usage.out) != files:
        raise BenchmarkError(f"the bare walk found {usage.out.strip()} files, not {files}: {usage.err}")
    return usage


def unchanged(task: tools.Upload, files: int) -> Usage:
    """Run s3_sync, and check that it had nothing to do."""
    command = tools.ours(task)
    usage = measured(command.words, env=tools.environment(command.env), stdin=command.stdin)
    result = json.loads(usage.out)
    if result.get("failed") or result["unchanged"]["count"] != files or result["changed"]:
        raise BenchmarkError(f"s3_sync changed something: {usage.out[-2000:]}")
    return usage


def row(title: str, built: trees.Built, walks: list[Usage], runs: list[Usage], requests: int) -> list[str]:
    """Return a row of the table."""
    walk, run = (tables.median(usage.wall for usage in usages) for usages in (walks, runs))
    walk_cpu, run_cpu = (tables.median(usage.cpu for usage in usages) for usages in (walks, runs))
    memory = max(usage.memory for usage in runs) / 2**20
    shown = [title, f"{built.files:,}", f"{built.folders:,}", f"{walk:.2f}", f"{run:.2f}", f"{run / walk:.2f}"]
    return [*shown, f"{run_cpu / walk_cpu:.2f}", f"{memory:.0f}", str(requests)]


def measured_row(place: Path, arguments: argparse.Namespace, *, flat: bool) -> list[str]:
    """Build a tree, send it once, and measure runs with nothing to do."""
    with tempfile.TemporaryDirectory(dir=place) as folder, NullServer(Path(folder)) as server:
        src, work = Path(folder) / "tree", Path(folder) / "work"
        work.mkdir(mode=0o700)
        say(f"building a tree of {arguments.files} files")
        built = trees.build(src, arguments.files, 0, flat=flat)
        server.store.client().create_bucket(Bucket=BUCKET)
        task = tools.Upload(server.store, BUCKET, src, work, arguments.python)
        say("sending it once")
        command = tools.ours(task)
        first = measured(command.words, env=tools.environment(command.env), stdin=command.stdin)
        if first.status or server.counts()["buckets"][BUCKET]["objects"] != built.files:
            raise BenchmarkError(f"the tree could not be sent: {first.out[-2000:]} {first.err[-2000:]}")
        say(f"sent: {first.wall:.1f} s, {first.cpu:.1f} CPU-s, {first.memory / 2**20:.0f} MiB")
        bare_walk(src, built.files, arguments.python)
        server.counts(reset=True)
        walks, runs = [], []
        for _round in range(arguments.rounds):
            walks.append(bare_walk(src, built.files, arguments.python))
            runs.append(unchanged(task, built.files))
            say(f"walk {walks[-1].wall:.2f} s, unchanged run {runs[-1].wall:.2f} s, {runs[-1].memory / 2**20:.0f} MiB")
        requests = sum(server.counts()["requests"].values())
        say("removing the tree")
        return row("one folder" if flat else "as Mastodon's", built, walks, runs, requests)


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"benchmark: {text}", flush=True)


def main() -> int:
    """Parse the command line and run the benchmark. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make benchmark-noop FILES=... ARGS=...", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="number of files (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--tree", choices=("mastodon", "flat", "both"), default="both", help="(default: %(default)s)")
    parser.add_argument("--dir", type=Path, help="folder for the tree (default: below .cache)")
    parser.add_argument("--python", type=Path, default=tools.NEWEST_PYTHON, help="the Python that runs both")
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md")
    arguments = parser.parse_args()
    place = arguments.dir or environments.CACHE / "benchmark-work"
    place.mkdir(parents=True, exist_ok=True)
    kinds = {"mastodon": [False], "flat": [True], "both": [False, True]}[arguments.tree]
    try:
        rows = [measured_row(place, arguments, flat=flat) for flat in kinds]
    except (BenchmarkError, stores.StoreError, environments.SetupError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    head = ["tree", "files", "folders", "bare walk s", "s3_sync s", "ratio", "ratio of CPU", "peak MiB", "requests"]
    python = tables.first_line([arguments.python, "--version"])
    text = f"{tables.machine()}; {python}; medians of {arguments.rounds} rounds.\n\n{tables.table(head, rows)}"
    print(f"\n{text}")
    if arguments.write:
        tables.write_section("noop", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
