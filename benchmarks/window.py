"""Measures the switch to the bucket as visitors see it: how long what is missing, and until web and Sidekiq are back.

A stand-in instance with systemd, under constant uploads, is migrated to MinIO over TLS by the real playbook, and rolled
back, in several rounds. Run it with `make benchmark-window` as root. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests" / "support")]

import environments  # noqa: E402
import tables  # noqa: E402
from measure import BenchmarkError  # noqa: E402
from stores.model import StoreError  # noqa: E402
from window_client import Client, Fetch, Medium  # noqa: E402
from window_server import HOME, Place, Server  # noqa: E402
from window_watch import Watcher  # noqa: E402

MEAN_BYTES = 1000  # of the tree: the window is independent of it
# How long the client goes on after each playbook.
AFTER_SECONDS = 10.0
LEDGER = "/home/mastodon/live/db/ledger.jsonl"
_WEB = "mastodon-web"
_LINE = re.compile(r"^(?P<time>[\d-]+ [\d:]+,\d+) .*?\| TASK \[(?:[\w.]+ : )?(?P<name>.*)\]")
SWITCH_HEAD = [
    *("files", "round", "entries from", "files sent", "first s", "last s", "web s", "Sidekiq s", "posts", "refused"),
    *("fetches", "misses before", "misses after", "missing s", "lost", "exposed", "playbook s", "load"),
]
ROLLBACK_HEAD = [
    *("files", "round", "web s", "Sidekiq s", "posts", "refused", "fetches", "misses", "lost", "exposed"),
    *("playbook s", "load"),
]


@dataclass(frozen=True)
class Outage:
    """What the processes and the client saw of one playbook's restart. Moments are seconds since the epoch.

    Attributes:
        began: When the playbook was started.
        old_ended: When the last old process of web ended.
        web: When web answered again.
        sidekiq: When the last Sidekiq took jobs again.
        ended: When the client's observation ended.
        seconds: How long the playbook took.
        load: Average number of processes that wanted to run, in the minute before the playbook's end.
    """

    began: float
    old_ended: float
    web: float
    sidekiq: float
    ended: float
    seconds: float
    load: float


@dataclass(frozen=True)
class Seen:
    """What the client saw in an outage.

    Attributes:
        media: What it posted.
        refused: Number of posts that were not confirmed.
        fetches: All its requests for media.
        missed: Those among them that were not answered with 200.
        lost: Media that were still missing after the playbook, when all were requested once more.
        exposed: Media that were suspended while they were on disk, and could be fetched after the playbook.
    """

    media: list[Medium]
    refused: int
    fetches: list[Fetch]
    missed: list[Fetch]
    lost: list[Fetch]
    exposed: list[Fetch]


def play(name: str, server: Server, watcher: Watcher, client: Client) -> Outage:
    """Run a playbook that restarts the instance, and return when what happened.

    Raises:
        BenchmarkError: It failed, or did not restart the instance.
    """
    began, old = time.time(), watcher.alive(_WEB)
    run = server.play(name)
    load = os.getloadavg()[0]
    time.sleep(AFTER_SECONDS)
    old_ended, web = watcher.last_end(old), client.answers_again(began)
    sidekiq = [watcher.working_since(unit, began) for unit in server.units_sidekiq]
    if old_ended is None or web is None or None in sidekiq:
        raise BenchmarkError(f"{name}.yml did not restart all services: {old_ended}, {web}, {sidekiq}")
    back = max(moment for moment in sidekiq if moment)
    return Outage(began, old_ended, web, back, time.time(), run.seconds, load)


def seen(client: Client, outage: Outage, suspended: dict[str, bool]) -> Seen:
    """Return what the client saw, after it has requested once more everything that was posted.

    Args:
        client: The client.
        outage: The restart.
        suspended: Media that are not public any more, and for each whether this took effect on disk.
    """
    media = [medium for medium in client.media if outage.began <= medium.posted <= outage.ended]
    fetches = [fetch for fetch in client.fetches if outage.began <= fetch.moment <= outage.ended]
    missed = [fetch for fetch in fetches if fetch.status != 200 and fetch.id not in suspended]
    with ThreadPoolExecutor(4) as pool:
        last = list(pool.map(client.fetch, media))
    lost = [fetch for fetch in last if fetch.status != 200 and fetch.id not in suspended]
    exposed = [fetch for fetch in last if fetch.status == 200 and suspended.get(fetch.id)]
    refused = sum(outage.began <= moment <= outage.ended for moment in client.refused)
    return Seen(media, refused, fetches, missed, lost, exposed)


def missing_seconds(watched: Seen) -> float:
    """Return how long the medium that was missing longest was missing: from its first miss to its next success."""
    longest = 0.0
    for medium_id in {fetch.id for fetch in watched.missed}:
        own = [fetch for fetch in watched.fetches if fetch.id == medium_id]
        first = next(fetch.moment for fetch in own if fetch.status != 200)
        found = next((fetch.moment for fetch in own if fetch.moment > first and fetch.status == 200), None)
        longest = max(longest, (found or watched.fetches[-1].moment) - first)
    return longest


def ledger(server: Server) -> list[dict[str, Any]]:
    """Return the log in which the instance notes what it does with each medium, and in which storage."""
    return [json.loads(line) for line in server.read(LEDGER).splitlines()]


def suspensions(lines: list[dict[str, Any]]) -> dict[str, bool]:
    """Return the media that the instance suspended, and for each whether this took effect on disk."""
    begun = {line["key"] for line in lines if line["event"] == "hiding"}
    done = {
        line["key"] for line in lines if line["event"] == "hidden" and line["effective"] and line["where"] == "disk"
    }
    return {key: key in done for key in begun}


def sent_late(server: Server, outage: Outage, lines: list[dict[str, Any]]) -> list[float]:
    """Return when files that web had stored on disk arrived in the bucket, if that was after its end.

    The instance's log says which files those are, and MinIO when they came (`LastModified`).
    """
    on_disk = {line["key"] for line in lines if line["event"] == "stored" and line["where"] == "disk"}
    pages = server.store.client().get_paginator("list_objects_v2")
    listed = pages.paginate(Bucket=server.bucket, Prefix="media_attachments/files/")
    moments = [
        (found["Key"], found["LastModified"].timestamp()) for page in listed for found in page.get("Contents", [])
    ]
    return sorted(moment for key, moment in moments if key in on_disk and outage.old_ended < moment < outage.ended)


def entries_from(server: Server) -> str:
    """Return where the final sync's entries came from, in the role's own words: feed or walk."""
    report = json.loads(server.read(f"/var/lib/mastodon_s3/{server.bucket}.report.json"))
    return str(report["final_sync_entries"].get("from", ""))


def switch_row(files: int, number: int, source: str, sent: list[float], outage: Outage, watched: Seen) -> list[str]:
    """Return a row of the table of switches. `sent` are the moments when late files arrived in the bucket."""
    after = sum(fetch.moment >= outage.web for fetch in watched.missed)
    return [
        *(f"{files:,}", str(number), source, str(len(sent))),
        *([f"{moment - outage.old_ended:.2f}" for moment in (sent[0], sent[-1])] if sent else ["", ""]),
        *(f"{moment - outage.old_ended:.1f}" for moment in (outage.web, outage.sidekiq)),
        *(str(len(watched.media)), str(watched.refused), str(len(watched.fetches))),
        *(str(len(watched.missed) - after), str(after), f"{missing_seconds(watched):.1f}"),
        *(str(len(watched.lost)), str(len(watched.exposed))),
        *(f"{outage.seconds:.0f}", f"{outage.load:.1f}"),
    ]


def rollback_row(files: int, number: int, outage: Outage, watched: Seen) -> list[str]:
    """Return a row of the table of rollbacks."""
    return [
        *(f"{files:,}", str(number)),
        *(f"{moment - outage.old_ended:.1f}" for moment in (outage.web, outage.sidekiq)),
        *(str(len(watched.media)), str(watched.refused), str(len(watched.fetches))),
        *(str(len(watched.missed)), str(len(watched.lost)), str(len(watched.exposed))),
        *(f"{outage.seconds:.0f}", f"{outage.load:.1f}"),
    ]


def steps(log: Path, outage: Outage) -> Iterator[str]:
    """Yield a line for each task from where Sidekiq was told to finish until it worked again, with its seconds."""
    tasks = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.match(line)
        if found:
            moment = datetime.strptime(found["time"], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
            if outage.began <= moment <= outage.ended:
                tasks.append((moment, found["name"]))
    first = next((moment for moment, name in tasks if "Let Sidekiq finish" in name), outage.began)
    for (moment, name), (following, _name) in zip(tasks, [*tasks[1:], (outage.began + outage.seconds, "")]):
        if first <= moment <= outage.sidekiq:
            yield f"{moment - outage.old_ended:+8.2f} s {following - moment:6.2f} s  {name}"


def measure(server: Server, arguments: argparse.Namespace) -> tuple[list[list[str]], list[list[str]]]:
    """Migrate and roll back in several rounds. Return the rows of both tables."""
    switches, rollbacks = [], []
    client = Client(server.address, server.domain, str(server.store.ca_bundle), arguments.rate, arguments.media_bytes)
    with client, Watcher(server.container) as watcher:
        time.sleep(AFTER_SECONDS)
        for number in range(1, arguments.rounds + 1):
            outage = play("migrate", server, watcher, client)
            lines = ledger(server)
            watched, sent = seen(client, outage, suspensions(lines)), sent_late(server, outage, lines)
            switches.append(switch_row(arguments.files, number, entries_from(server), sent, outage, watched))
            say(f"switch {number}: {dict(zip(SWITCH_HEAD, switches[-1]))}")
            for line in steps(server.log, outage):
                say(line)
            tell(watched)
            outage = play("rollback", server, watcher, client)
            watched = seen(client, outage, suspensions(ledger(server)))
            rollbacks.append(rollback_row(arguments.files, number, outage, watched))
            say(f"rollback {number}: {dict(zip(ROLLBACK_HEAD, rollbacks[-1]))}")
            tell(watched)
    return switches, rollbacks


def tell(watched: Seen) -> None:
    """Print some of the faults."""
    for title, fetches in (("missed", watched.missed), ("lost", watched.lost), ("exposed", watched.exposed)):
        for fetch in fetches[:3]:
            say(f"{title}: {fetch.url} answered {fetch.status} at {fetch.moment:.2f}")


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Parse the command line and run the benchmark. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make benchmark-window ARGS=...", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="files of the tree (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="switches, each rolled back (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=5.0, help="posts, and fetches, per second (default: %(default)s)")
    parser.add_argument(
        "--media-bytes", type=int, default=50_000, help="size of a post's medium (default: %(default)s)"
    )
    parser.add_argument("--boot-seconds", type=float, default=10.0, help="how long web boots (default: %(default)s)")
    parser.add_argument("--file-system", choices=("tmpfs", "ext4", "xfs"), default="tmpfs", help="of the media")
    parser.add_argument("--dir", type=Path, default=HOME, help="folder for the file with the file system")
    parser.add_argument("--keep", action="store_true", help="leave instance, store and tree, for the next run")
    parser.add_argument("--remove", action="store_true", help="only remove what a run with --keep has left")
    parser.add_argument("--write", action="store_true", help="write the tables into benchmarks/README.md")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmark: this needs root, for containers and file systems", file=sys.stderr)
        return environments.CANNOT_RUN
    server = Server()
    try:
        if arguments.remove:
            server.remove()
            return 0
        place = Place(arguments.files, arguments.file_system, str(arguments.dir.absolute()))
        say("starting instance and store")
        server.start(place, arguments.boot_seconds)
        say(f"building a tree of {arguments.files} files")
        server.build_tree(place, MEAN_BYTES)
        switches, rollbacks = measure(server, arguments)
        if not arguments.keep:
            server.remove()
    except (BenchmarkError, StoreError, environments.SetupError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    text = (
        f"{tables.machine()}; media on {arguments.file_system}, web boots for {arguments.boot_seconds:.0f} s.\n\n"
        f"{tables.table(SWITCH_HEAD, switches)}\nRollbacks:\n\n{tables.table(ROLLBACK_HEAD, rollbacks)}"
    )
    print(f"\n{text}")
    if arguments.write:
        tables.write_section("window", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
