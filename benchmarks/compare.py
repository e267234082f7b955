"""Measures s3_sync and other programs: each sends the same tree to the same stores.

Run it with `make benchmark`, which builds what it needs. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "support")]

import environments  # noqa: E402
import stores  # noqa: E402
import tables  # noqa: E402
import tools  # noqa: E402
import trees  # noqa: E402
from measure import BenchmarkError, Usage, measured  # noqa: E402
from null_server import NullServer  # noqa: E402

DELAYS_MS = (0, 20, 100)
TITLES = {"null": "Null store, plain HTTP", "minio": "MinIO, TLS"}


class Benchmark:
    """Runs the programs, each with a new bucket."""

    def __init__(self, directory: Path, names: Sequence[str], arguments: argparse.Namespace) -> None:
        self.directory = directory
        self.arguments = arguments
        self.programs = [one for one in tools.ALL if any(name in one.name for name in names)]
        self.trees: dict[int, tuple[Path, trees.Built]] = {}
        self._number = 0

    def tree(self, share: int) -> tuple[Path, trees.Built]:
        """Return the tree with 1/share of the files, and build it if necessary."""
        if share not in self.trees:
            root = self.directory / f"tree-{share}"
            files = max(1, self.arguments.files // share)
            self.trees[share] = (root, trees.build(root, files, self.arguments.mean_bytes))
        return self.trees[share]

    def rounds(self, store: stores.StoreServer) -> dict[str, list[Usage]]:
        """Run all programs, round by round, and return the usage of each by its name."""
        found: dict[str, list[Usage]] = {one.name: [] for one in self.programs}
        for number in range(self.arguments.rounds):
            for one in self.programs:
                if not one.slow or number == 0 or self.arguments.all:
                    found[one.name].append(self.run(one, store))
        return found

    def run(self, one: tools.Tool, store: stores.StoreServer) -> Usage:
        """Send the tree to a new bucket with one program, and check that the bucket contains all of it.

        Raises:
            BenchmarkError: It does not, or the command failed.
        """
        self._number += 1
        bucket, client = f"bench-{self._number:04}", store.client()
        work = self.directory / bucket
        work.mkdir(mode=0o700)
        src, built = self.tree(one.share)
        client.create_bucket(Bucket=bucket)
        command = one.command(tools.Upload(store, bucket, src, work, self.arguments.python))
        os.sync()  # so that data of the previous run do not slow this one down
        usage = measured(command.words, env=tools.environment(command.env), stdin=command.stdin)
        count, size = contents(client, bucket)
        if usage.status or (count, size) != (built.files, built.bytes):
            raise BenchmarkError(
                f"{one.name} ended with status {usage.status}, and the bucket has {count} objects with {size} bytes"
                f" instead of {built.files} with {built.bytes}:\n{usage.out[-2000:]}\n{usage.err[-2000:]}"
            )
        if one is tools.OURS:
            uploads = json.loads(usage.out)["uploads_by"]
            if uploads["fast"] < built.files * 0.9:
                raise BenchmarkError(f"most files were not sent on the fast path: {uploads}")
        delete_bucket(client, bucket)
        shutil.rmtree(work)
        say(f"{one.name}: {usage.wall:.2f} s, {usage.cpu:.2f} CPU-s, {usage.memory / 2**20:.0f} MiB")
        return usage


def contents(client: Any, bucket: str) -> tuple[int, int]:
    """Return the number of objects in a bucket and their size in bytes, from a listing."""
    count = size = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            count, size = count + 1, size + found["Size"]
    return count, size


def delete_bucket(client: Any, bucket: str) -> None:
    """Delete a bucket with its objects. The null store always does so, and MinIO with a header."""

    def force(params: dict[str, Any], **_others: Any) -> None:
        params["headers"]["x-minio-force-delete"] = "true"

    client.meta.events.register("before-call.s3.DeleteBucket", force)
    try:
        client.delete_bucket(Bucket=bucket)
    finally:
        client.meta.events.unregister("before-call.s3.DeleteBucket", force)


def comparison_table(benchmark: Benchmark, found: dict[str, list[Usage]]) -> str:
    """Return a table of all programs, with ratios to rclone."""
    whole = benchmark.tree(1)[1].files
    figures = {}
    for one in benchmark.programs:
        scale = whole / benchmark.tree(one.share)[1].files
        usages = found[one.name]
        wall, cpu = (tables.median(values) * scale for values in zip(*((u.wall, u.cpu) for u in usages)))
        figures[one.name] = (wall, cpu, tables.median(u.memory for u in usages) / 2**20)
    base = figures.get(tools.RCLONE.name)
    rows = []
    for one in benchmark.programs:
        wall, cpu, memory = figures[one.name]
        ratios = [f"{wall / base[0]:.2f}", f"{cpu / base[1]:.2f}"] if base else ["", ""]
        name = f"{one.name} (1/{one.share} of the files, times {one.share})" if one.share > 1 else one.name
        usages = found[one.name]
        spread = f"{min(u.wall for u in usages):.1f} to {max(u.wall for u in usages):.1f}" if len(usages) > 1 else ""
        rows.append([name, str(len(usages)), f"{wall:.2f}", spread, f"{cpu:.2f}", f"{memory:.0f}", *ratios])
    head = ["", "runs", "wall s", "min to max", "CPU s", "peak MiB", "wall / rclone", "CPU / rclone"]
    return tables.table(head, rows)


def delay_table(benchmark: Benchmark) -> str:
    """Return a table of the rate of s3_sync with and without a delay before each response."""
    rates: dict[int, list[float]] = {delay: [] for delay in DELAYS_MS}
    with ExitStack() as stack:
        running = {delay: stack.enter_context(null_store(benchmark, delay)) for delay in DELAYS_MS}
        for number in range(benchmark.arguments.rounds):
            for delay, store in running.items():
                say(f"round {number + 1}, {delay} ms before each response")
                usage = benchmark.run(tools.OURS, store)
                rates[delay].append(benchmark.tree(1)[1].files / usage.wall)
    medians = {delay: tables.median(found) for delay, found in rates.items()}
    rows = [[f"{delay} ms", f"{rate:.0f}", f"{rate / medians[0]:.2f}"] for delay, rate in medians.items()]
    return tables.table(["delay", "files per second", "relative to no delay"], rows)


@contextmanager
def null_store(benchmark: Benchmark, delay_ms: int) -> Iterator[stores.StoreServer]:
    """Run a null store."""
    name = f"null-{delay_ms}"
    with NullServer(benchmark.directory / name, delay_ms=delay_ms, verify=benchmark.arguments.verify) as server:
        yield server.store


@contextmanager
def minio(benchmark: Benchmark) -> Iterator[stores.StoreServer]:
    """Run a MinIO."""
    directory = benchmark.directory / "minio"
    try:
        yield stores.start("minio", directory, bound_to_parent=True)
    finally:
        stores.stop(directory)


def report(benchmark: Benchmark) -> str:
    """Run all requested parts and return the results as Markdown."""
    arguments, parts = benchmark.arguments, []
    built = benchmark.tree(1)[1]
    say(f"the tree: {built.files} files, {built.bytes / 1e6:.0f} MB, {built.folders} folders")
    for kind in arguments.stores:
        with null_store(benchmark, 0) if kind == "null" else minio(benchmark) as store:
            parts.append(f"### {TITLES[kind]}\n\n{comparison_table(benchmark, benchmark.rounds(store))}")
    if arguments.delay:
        parts.append(f"### Null store, with a delay before each response\n\n{delay_table(benchmark)}")
    versions = [f"{one.name} {tables.first_line(one.version)}" for one in benchmark.programs if one.version]
    python = tables.first_line([arguments.python, "--version"])
    head = (
        f"{tables.machine()}; {python}{''.join(f'; {version}' for version in versions)}.\n\n"
        f"{built.files:,} files, {built.bytes / 1e6:.0f} MB, {built.folders:,} folders; {arguments.rounds} rounds,"
        f" medians; the null store checks {CHECKS[arguments.verify]}.\n"
    )
    return "\n".join([head, *parts])


CHECKS = {"none": "lengths", "digest": "lengths and digests", "all": "lengths, digests and signatures"}


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"benchmark: {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make benchmark ARGS=...", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="number of files (default: %(default)s)")
    parser.add_argument("--mean-bytes", type=int, default=50_000, help="their mean size (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--stores", nargs="+", choices=TITLES, default=list(TITLES), help="(default: all)")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="only programs with this text in their name"
    )
    parser.add_argument("--all", action="store_true", help="run slow programs in every round, not only the first")
    parser.add_argument(
        "--verify", choices=CHECKS, default="digest", help="what the null store checks (default: digest)"
    )
    parser.add_argument("--delay", action=argparse.BooleanOptionalAction, default=True, help="the part with a delay")
    parser.add_argument("--dir", type=Path, help="folder for trees and stores (default: below .cache)")
    parser.add_argument("--python", type=Path, default=tools.NEWEST_PYTHON, help="the Python that runs modules")
    parser.add_argument("--write", action="store_true", help="write the tables into benchmarks/README.md")
    return parser.parse_args()


def main() -> int:
    """Parse the command line and run the benchmark. Return the exit status."""
    arguments = _arguments()
    place = arguments.dir or environments.CACHE / "benchmark-work"
    place.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=place) as directory:
            text = report(Benchmark(Path(directory), arguments.only, arguments))
    except (BenchmarkError, stores.StoreError, environments.SetupError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(f"\n{text}")
    if arguments.write:
        tables.write_section("comparison", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
