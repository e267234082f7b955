"""Sends one tree to the same stores with s3_sync and with its peers, in turn, and compares what each took.

Run it by `make benchmark`, which builds what it needs: see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "support")]

import contenders  # noqa: E402
import environments  # noqa: E402
import stores  # noqa: E402
import tables  # noqa: E402
import trees  # noqa: E402
from measure import Usage, measured  # noqa: E402
from null_server import NullServer  # noqa: E402

DELAY_MS = 20
TITLES = {"null": "Null store, plain HTTP", "minio": "MinIO, TLS"}


class UnfairError(Exception):
    """A run did not do what it was measured for; the text says what was amiss."""


class Bench:
    """Runs contenders and keeps what they took, by store and name."""

    def __init__(self, directory: Path, names: Sequence[str], arguments: argparse.Namespace) -> None:
        self.directory = directory
        self.arguments = arguments
        self.contenders = [one for one in contenders.ALL if any(name in one.name for name in names)]
        self.trees: dict[int, tuple[Path, trees.Built]] = {}
        self._number = 0

    def tree(self, share: int) -> tuple[Path, trees.Built]:
        """Return the tree with 1/share of the files."""
        if share not in self.trees:
            root = self.directory / f"tree-{share}"
            files = max(1, self.arguments.files // share)
            self.trees[share] = (root, trees.build(root, files, self.arguments.mean_bytes))
        return self.trees[share]

    def rounds(self, store: stores.Store) -> dict[str, list[Usage]]:
        """Let everybody send the tree to a bucket of its own, round by round."""
        found: dict[str, list[Usage]] = {one.name: [] for one in self.contenders}
        for number in range(self.arguments.rounds):
            for one in self.contenders:
                if not one.slow or number == 0 or self.arguments.all:
                    found[one.name].append(self.run(one, store))
        return found

    def run(self, one: contenders.Contender, store: stores.Store) -> Usage:
        """Let one send the tree to a bucket of its own, and see that all of it is there.

        Raises:
            UnfairError: it is not, or the command failed.
        """
        self._number += 1
        bucket, client = f"bench-{self._number:04}", store.client()
        work = self.directory / bucket
        work.mkdir(mode=0o700)
        src, built = self.tree(one.share)
        client.create_bucket(Bucket=bucket)
        command = one.command(contenders.Task(store, bucket, src, work, self.arguments.python))
        os.sync()  # what the one before left to be written is not to slow this one down
        usage = measured(command.words, env=contenders.environment(command.env), stdin=command.stdin)
        count, size = contents(client, bucket)
        if usage.status or (count, size) != (built.files, built.bytes):
            raise UnfairError(
                f"{one.name} ended with status {usage.status} and left {count} objects of {size} bytes, not"
                f" {built.files} of {built.bytes}:\n{usage.out[-2000:]}\n{usage.err[-2000:]}"
            )
        if one is contenders.OURS:
            ways = json.loads(usage.out)["uploads_by"]
            if ways["lean"] < built.files * 0.9:
                raise UnfairError(f"most files did not go the lean way: {ways}")
        drop(client, bucket)
        shutil.rmtree(work)
        say(f"{one.name}: {usage.wall:.2f} s, {usage.cpu:.2f} CPU-s, {usage.memory / 2**20:.0f} MiB")
        return usage


def contents(client: Any, bucket: str) -> tuple[int, int]:
    """Return the number of objects in a bucket and their bytes, as the store lists them."""
    count = size = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            count, size = count + 1, size + found["Size"]
    return count, size


def drop(client: Any, bucket: str) -> None:
    """Remove a bucket with all that is in it: the null store always does so, MinIO where a header asks for it."""

    def force(params: dict[str, Any], **_others: Any) -> None:
        params["headers"]["x-minio-force-delete"] = "true"

    client.meta.events.register("before-call.s3.DeleteBucket", force)
    try:
        client.delete_bucket(Bucket=bucket)
    finally:
        client.meta.events.unregister("before-call.s3.DeleteBucket", force)


def compared(bench: Bench, found: dict[str, list[Usage]]) -> str:
    """Return a table of what everybody took, with ratios to rclone."""
    whole = bench.tree(1)[1].files
    figures = {}
    for one in bench.contenders:
        scale = whole / bench.tree(one.share)[1].files
        usages = found[one.name]
        wall, cpu = (tables.median(values) * scale for values in zip(*((u.wall, u.cpu) for u in usages)))
        figures[one.name] = (wall, cpu, tables.median(u.memory for u in usages) / 2**20)
    base = figures.get(contenders.RCLONE.name)
    rows = []
    for one in bench.contenders:
        wall, cpu, memory = figures[one.name]
        ratios = [f"{wall / base[0]:.2f}", f"{cpu / base[1]:.2f}"] if base else ["", ""]
        name = f"{one.name} (1/{one.share} of the files, times {one.share})" if one.share > 1 else one.name
        usages = found[one.name]
        spread = f"{min(u.wall for u in usages):.1f} to {max(u.wall for u in usages):.1f}" if len(usages) > 1 else ""
        rows.append([name, str(len(usages)), f"{wall:.2f}", spread, f"{cpu:.2f}", f"{memory:.0f}", *ratios])
    head = ["", "runs", "wall s", "from, to", "CPU s", "peak MiB", "wall / rclone", "CPU / rclone"]
    return tables.table(head, rows)


def delayed(bench: Bench) -> str:
    """Return a table of how s3_sync fares where each answer takes its time."""
    rows: list[list[str]] = []
    rates: dict[int, list[float]] = {}
    with null_store(bench, 0) as near, null_store(bench, DELAY_MS) as far:
        for number in range(bench.arguments.rounds):
            for delay, store in ((0, near), (DELAY_MS, far)):
                say(f"round {number + 1}, {delay} ms before each answer")
                usage = bench.run(contenders.OURS, store)
                rates.setdefault(delay, []).append(bench.tree(1)[1].files / usage.wall)
    for delay, found in rates.items():
        rate = tables.median(found)
        rows.append([f"{delay} ms", f"{rate:.0f}", f"{rate / tables.median(rates[0]):.2f}"])
    return tables.table(["before each answer", "files a second", "of the rate without delay"], rows)


@contextmanager
def null_store(bench: Bench, delay_ms: int) -> Iterator[stores.Store]:
    """Run a null store."""
    name = f"null-{delay_ms}"
    with NullServer(bench.directory / name, delay_ms=delay_ms, verify=bench.arguments.verify) as server:
        yield server.store


@contextmanager
def minio(bench: Bench) -> Iterator[stores.Store]:
    """Run a MinIO."""
    directory = bench.directory / "minio"
    try:
        yield stores.start("minio", directory, bound_to_parent=True)
    finally:
        stores.stop(directory)


def report(bench: Bench) -> str:
    """Run everything that was asked for and return it as Markdown."""
    arguments, parts = bench.arguments, []
    built = bench.tree(1)[1]
    say(f"the tree: {built.files} files, {built.bytes / 1e6:.0f} MB, {built.folders} folders")
    for kind in arguments.stores:
        with null_store(bench, 0) if kind == "null" else minio(bench) as store:
            parts.append(f"### {TITLES[kind]}\n\n{compared(bench, bench.rounds(store))}")
    if arguments.delay:
        parts.append(f"### Null store, {DELAY_MS} ms before each answer\n\n{delayed(bench)}")
    versions = [f"{one.name} {tables.said(one.version)}" for one in bench.contenders if one.version]
    python = tables.said([arguments.python, "--version"])
    head = (
        f"{tables.machine()}; {python}{''.join(f'; {version}' for version in versions)}.\n\n"
        f"{built.files:,} files, {built.bytes / 1e6:.0f} MB, {built.folders:,} folders; {arguments.rounds} rounds,"
        f" medians; the null store checks {CHECKS[arguments.verify]}.\n"
    )
    return "\n".join([head, *parts])


CHECKS = {"none": "lengths", "digest": "lengths and digests", "all": "lengths, digests and signatures"}


def say(text: str) -> None:
    """One line of progress."""
    print(f"benchmark: {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make benchmark ARGS=...", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="number of files (default: %(default)s)")
    parser.add_argument("--mean-bytes", type=int, default=50_000, help="their mean size (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--stores", nargs="+", choices=TITLES, default=list(TITLES), help="(default: all)")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="contenders whose name holds a text")
    parser.add_argument("--all", action="store_true", help="run the slow ones in every round, not just the first")
    parser.add_argument(
        "--verify", choices=CHECKS, default="digest", help="what the null store checks (default: digest)"
    )
    parser.add_argument("--delay", action=argparse.BooleanOptionalAction, default=True, help="the part with 20 ms")
    parser.add_argument("--dir", type=Path, help="where trees and stores are kept meanwhile (default: below .cache)")
    parser.add_argument("--python", type=Path, default=contenders.NEWEST_PYTHON, help="what runs modules")
    parser.add_argument("--write", action="store_true", help="paste the tables into benchmarks/README.md")
    return parser.parse_args()


def main() -> int:
    """Read the command line and obey."""
    arguments = _arguments()
    place = arguments.dir or environments.CACHE / "benchmark-work"
    place.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=place) as directory:
            text = report(Bench(Path(directory), arguments.only, arguments))
    except (UnfairError, stores.StoreError, environments.SetupError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(f"\n{text}")
    if arguments.write:
        tables.paste("comparison", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
