"""Measures how long it takes to compare a tree with a bucket: s3_sync_info beside rclone check.

Run it with `make benchmark-check`, which builds what it needs. See benchmarks/README.md.
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

BUCKET = "check"
NAMES = ("s3_sync_info", "rclone check")
SAMPLE = 100  # the default of s3_sync_info
MEAN_BYTES = 100  # sizes are compared, not contents


def checked_by_rclone(task: tools.Upload, files: int) -> Usage:
    """Run rclone check, and make sure that it compared all files."""
    usage = run(tools.rclone_check(task))
    if usage.status or f"{files} matching files" not in usage.err:
        raise BenchmarkError(f"rclone did not find {files} matching files: {usage.err[-2000:]}")
    return usage


def checked_by_us(task: tools.Upload, files: int) -> Usage:
    """Run s3_sync_info, and make sure that it compared all files and requested its sample."""
    usage = run(tools.our_check(task))
    result = json.loads(usage.out)
    if result.get("failed"):
        raise BenchmarkError(f"s3_sync_info failed: {usage.out[-2000:]}")
    counts, public = result["counts"], result["sampled"]["public"]
    wrong = {name: public[name] for name in ("unreadable", "wrong_type", "wrong_cache_header") if public[name]}
    if (counts["present"], counts["size_differs"], counts["extra"]) != (files, 0, 0):
        raise BenchmarkError(f"s3_sync_info did not find {files} equal files: {counts}")
    if public["requested"] != min(SAMPLE, files) or wrong:
        raise BenchmarkError(f"s3_sync_info requested something else as a visitor: {public}")
    return usage


def run(command: tools.Command) -> Usage:
    """Run a command and return what it used."""
    return measured(command.words, env=tools.environment(command.env), stdin=command.stdin)


def measured_row(place: Path, files: int, arguments: argparse.Namespace) -> list[str]:
    """Build a tree, send it once, and compare it with the bucket in several rounds."""
    with tempfile.TemporaryDirectory(dir=place) as folder, NullServer(Path(folder)) as server:
        src, work = Path(folder) / "tree", Path(folder) / "work"
        work.mkdir(mode=0o700)
        say(f"building a tree of {files} files, and sending it")
        built = trees.build(src, files, MEAN_BYTES)
        server.store.client().create_bucket(Bucket=BUCKET)
        task = tools.Upload(server.store, BUCKET, src, work, arguments.python)
        first = run(tools.ours(task))
        if first.status or server.counts()["buckets"][BUCKET]["objects"] != built.files:
            raise BenchmarkError(f"the tree could not be sent: {first.out[-2000:]} {first.err[-2000:]}")
        theirs, ours = [], []
        for _round in range(arguments.rounds):
            if arguments.rclone:
                theirs.append(checked_by_rclone(task, files))
                say(f"rclone check: {described(theirs[-1])}")
            ours.append(checked_by_us(task, files))
            say(f"s3_sync_info: {described(ours[-1])}")
        say("removing the tree")
        return row(built, theirs, ours)


def described(usage: Usage) -> str:
    """Return a usage as text."""
    return f"{usage.wall:.2f} s, {usage.cpu:.2f} CPU-s, {usage.memory / 2**20:.0f} MiB"


def row(built: trees.Built, theirs: list[Usage], ours: list[Usage]) -> list[str]:
    """Return a row of the table; what belongs to rclone is empty without it."""
    our_wall, our_cpu, our_memory = medians(ours)
    cells = [f"{built.files:,}", f"{built.folders:,}", f"{our_wall:.2f}", f"{our_cpu:.2f}", f"{our_memory:.0f}"]
    if not theirs:
        return cells + [""] * 5
    wall, cpu, memory = medians(theirs)
    return [*cells, f"{wall:.2f}", f"{cpu:.2f}", f"{memory:.0f}", f"{our_wall / wall:.2f}", f"{our_cpu / cpu:.2f}"]


def medians(usages: list[Usage]) -> tuple[float, float, float]:
    """Return the medians of wall time and CPU time in seconds, and the highest peak of memory in MiB."""
    wall, cpu = (tables.median(values) for values in zip(*((usage.wall, usage.cpu) for usage in usages)))
    return wall, cpu, max(usage.memory for usage in usages) / 2**20


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"benchmark: {text}", flush=True)


def main() -> int:
    """Parse the command line and run the benchmark. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make benchmark-check ARGS=...", description=__doc__)
    parser.add_argument(
        "--files", type=int, nargs="+", default=[10_000, 100_000], help="numbers of files (default: 10000 100000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--rclone", action=argparse.BooleanOptionalAction, default=True, help="run rclone, too")
    parser.add_argument("--dir", type=Path, help="folder for the trees (default: below .cache)")
    parser.add_argument("--python", type=Path, default=tools.NEWEST_PYTHON, help="the Python that runs the module")
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md")
    arguments = parser.parse_args()
    place = arguments.dir or environments.CACHE / "benchmark-work"
    place.mkdir(parents=True, exist_ok=True)
    try:
        rows = [measured_row(place, files, arguments) for files in arguments.files]
    except (BenchmarkError, stores.StoreError, environments.SetupError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    head = ["files", "folders", *(f"{name} {unit}" for name in NAMES for unit in ("s", "CPU s", "MiB"))]
    head += ["ratio", "ratio of CPU"]
    versions = [tables.first_line([arguments.python, "--version"])]
    if arguments.rclone:
        versions.append(tables.first_line(tools.RCLONE.version))
    about = f"{tables.machine()}; {'; '.join(versions)}; medians of {arguments.rounds} rounds."
    text = f"{about}\n\n{tables.table(head, rows)}"
    print(f"\n{text}")
    if arguments.write:
        tables.write_section("check", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
